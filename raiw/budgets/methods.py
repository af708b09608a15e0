"""What a budget can be shared by; :mod:`raiw.budgets.budget` does it."""

METHODS = {
    "score": "In proportion to the mean of the positive scores",
    "global": "The highest scores of the network, wherever they are",
    "afie": "In inverse proportion to the average filter information entropy of weights",
    "channels": "In proportion to the filters that a pruning method left",
}
"""Every method by the name users give it."""

PRUNED = ("convolutions", "all")
"""Which layers ``afie`` may prune: convolutions, as in the paper, or linear layers too."""
