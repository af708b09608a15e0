"""Prices of an optimal graph, from the graph itself."""

from typing import Any

import numpy as np

from raiw.crafting.compiled import kernel
from raiw.crafting.prices import Arcs, Prices
from raiw.graphs import Bools, Degrees

WORK = 1 << 27
"""Most arcs looked at."""
_TOLERANCE = 2.0**-40


def settle(prices: Prices, arcs: Arcs, kept: Bools) -> tuple[Prices, bool]:
    """Return prices at which the ``kept`` arcs are worth keeping and the others are not.

    Label correction (Bellman-Ford) on the residual network of the graph. It settles when no
    exchange of these arcs would raise the kept score, and gives up after ``WORK`` otherwise; told
    with the prices is which. They prove a bound in either case.

    Parameters
    ----------
    prices
        Where to start.
    arcs
        The edges looked at; all kept ones among them.
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
    return settled, _settle(arcs, kept, settled, (out_above, in_above), (tolerance, rounds))


def _above(degrees: Degrees) -> Bools:
    """Tell which vertices stand above the floor."""
    return np.asarray(degrees > degrees.min())


@kernel
def _settle(arcs: Any, kept: Any, prices: Any, above: Any, limits: Any) -> bool:
    tolerance, rounds = limits
    for _ in range(rounds):
        moved = _lower_outputs(arcs, kept, prices, above[0], tolerance)
        moved |= _raise_inputs(arcs, kept, prices, tolerance)
        moved |= _part_inputs(prices.ins, above[1], tolerance)
        if not moved:
            return True
    return False


@kernel
def _lower_outputs(arcs: Any, kept: Any, prices: Any, above: Any, tolerance: float) -> bool:
    """Let no output cost more than a kept edge bears, nor than any output above the floor."""
    moved, line = False, np.inf
    for u in range(len(prices.out)):
        if above[u]:
            line = min(line, prices.out[u])
    for u in range(len(prices.out)):
        price = prices.out[u] if above[u] else min(prices.out[u], line)
        for arc in range(arcs.indptr[u], arcs.indptr[u + 1]):
            if kept[arc]:
                price = min(price, arcs.scores[arc] - prices.ins[arcs.indices[arc]])
        if price < prices.out[u] - tolerance:
            prices.out[u] = price
            moved = True
    return moved


@kernel
def _raise_inputs(arcs: Any, kept: Any, prices: Any, tolerance: float) -> bool:
    """Let no input cost less than an edge that is not kept offers."""
    moved = False
    for u in range(len(prices.out)):
        for arc in range(arcs.indptr[u], arcs.indptr[u + 1]):
            v = arcs.indices[arc]
            offer = arcs.scores[arc] - prices.out[u]
            if not kept[arc] and offer > prices.ins[v] + tolerance:
                prices.ins[v] = offer
                moved = True
    return moved


@kernel
def _part_inputs(ins: Any, above: Any, tolerance: float) -> bool:
    """Let no input above the floor cost less than one at the floor."""
    moved, line = False, -np.inf
    for v in range(len(ins)):
        if not above[v]:
            line = max(line, ins[v])
    for v in range(len(ins)):
        if above[v] and line > ins[v] + tolerance:
            ins[v] = line
            moved = True
    return moved
