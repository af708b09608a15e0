"""Importance scores: which edges a network would miss most, measured on the network itself."""
