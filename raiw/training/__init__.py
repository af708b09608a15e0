"""Training networks with their masks held."""
