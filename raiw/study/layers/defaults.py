"""What :func:`raiw.study.layers.sensitivity.sensitivity` tests unless told otherwise."""

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of its filters that a layer keeps, in turn."""
TOLERANCE = 0.01
"""Accuracy that may be lost."""
