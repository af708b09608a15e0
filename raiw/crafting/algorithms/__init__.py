"""The crafting algorithms, one module each, called what its entry in the registry is called.

An algorithm is a function ``build(shape, edges, *, scores, stream) -> Built`` for one bipartite
graph, with the options that its entry in :data:`raiw.algorithms.ALGORITHMS` names.
"""
