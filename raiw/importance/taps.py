"""One score of an edge from the values of its kernel taps."""

import numpy as np

from raiw.graphs import Floats


def norm(edges: Floats, taps: str) -> Floats:
    """Return the l1 or l2 norm over the taps of ``(out, in/groups, taps)`` values.

    Taps are added one by one, so the rounding is the same on every machine.
    """
    total = np.zeros(edges.shape[:2])
    for tap in np.moveaxis(edges, 2, 0):
        total += tap**2 if taps == "l2" else np.abs(tap)
    return np.sqrt(total) if taps == "l2" else total


def added(edges: Floats) -> Floats:
    """Return the sum over the taps."""
    total = np.zeros(edges.shape[:2])
    for tap in np.moveaxis(edges, 2, 0):
        total += tap
    return total
