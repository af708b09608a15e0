"""Importance scores: how much a network needs each edge, measured on the network itself."""
