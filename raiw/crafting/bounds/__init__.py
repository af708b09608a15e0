"""How much importance any graph of exact degrees can keep: dual prices, and certificates."""
