"""Channel pruning: which filters of a trained network to remove, and the smaller network.

Crafting removes edges between vertices; pruning removes vertices. The registry
:data:`raiw.pruning.methods.METHODS` names the methods, :func:`raiw.pruning.prune.prune` runs one.
"""
