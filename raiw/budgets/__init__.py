"""A budget shared among the layers of a network by their scores, weights or channels."""
