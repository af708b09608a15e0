"""Channel pruning: which filters of a trained network to remove, and the smaller network."""
