"""Prices of an optimal graph, from the graph itself."""

import numpy as np

from raiw import kernels
from raiw.crafting.bounds.prices import Arcs, Prices
from raiw.graphs import Bools, Degrees

WORK = 1 << 27
"""Most arcs visited."""
_TOLERANCE = 2.0**-40


def settle(prices: Prices, arcs: Arcs, kept: Bools) -> tuple[Prices, bool]:
    """Return prices at which the ``kept`` arcs are worth keeping and the others are not.

    Label correction (Bellman-Ford) on the residual network of the graph. It settles when no
    exchange of these arcs would raise the kept score, and gives up when it finds one that would, or
    after ``WORK``; which of the two is returned with the prices. They prove a bound in either case.

    Parameters
    ----------
    prices
        Where to start.
    arcs
        The edges considered, including all kept ones.
    kept
        Which arcs the graph keeps, ``(arcs,)``.
    """
    settled = Prices(prices.out.copy(), prices.ins.copy())
    rows = np.repeat(np.arange(len(prices.out)), np.diff(arcs.indptr))
    out_above = _above(np.bincount(rows[kept], minlength=len(prices.out)))
    in_above = _above(np.bincount(arcs.indices[kept], minlength=len(prices.ins)))
    tolerance = _TOLERANCE * float(np.max(np.abs(arcs.scores), initial=0.0))
    vertices = len(prices.out) + len(prices.ins) + 2  # no shortest path is longer
    rounds = min(vertices, WORK // max(len(kept), 1))
    done = kernels.settle(
        *arcs, kept, out_above, in_above, settled.out, settled.ins, tolerance, rounds
    )
    return settled, done


def _above(degrees: Degrees) -> Bools:
    """Tell which vertices are above the floor."""
    return np.asarray(degrees > degrees.min())
