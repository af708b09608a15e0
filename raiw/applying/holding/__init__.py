"""How one parameter of a PyTorch model keeps its pruned weights at zero, whatever trains it."""
