"""Crafting: one bipartite neural graph for every layer, with exact degrees."""
