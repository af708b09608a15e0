"""The pruning methods, one module each, called what its entry in the registry is called.

A method is a function ``select(network, **options) -> Selection``, with the options that its entry
in :data:`raiw.pruning.methods.METHODS` names; ``sampling`` serves ``entropic``.
"""
