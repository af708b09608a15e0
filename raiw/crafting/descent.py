"""Prices of a low bound, by coordinate descent on the dual problem of :mod:`raiw.crafting.prices`.

Each half sweep sets the prices of one side to the middle of the interval that is best for the
prices of the other, from one pass over the scores that keeps the few best of every vertex.
Comparisons, differences and halves only: the same bits on every machine.
"""

import math
from typing import NamedTuple

import numpy as np

from raiw.crafting import Scores, kernels
from raiw.crafting.degrees import Share, share
from raiw.crafting.prices import Floats, Prices, upper_bound
from raiw.graphs import Bools

SWEEPS = 24
_ENOUGH = 2e-5
_SPARE_EDGES = 8


class Ranked(NamedTuple):
    """The k-th, (k+1)-th and (k+2)-th largest value of every vertex of a side; ±inf outside."""

    above: Floats
    at: Floats
    below: Floats


def descend(scores: Scores, edges: int) -> Prices:
    """Return prices whose bound is within about a thousandth of the optimum.

    Costs up to ``SWEEPS`` times three passes over the ``(out, in)`` scores, of which no copy is
    made.
    """
    out, n_in = scores.shape
    out_share, in_share = share(edges, out), share(edges, n_in)
    best = prices = Prices(np.zeros(out), np.zeros(n_in))
    best_bound = math.inf
    for _ in range(SWEEPS):
        outs = _best_prices(_rank(scores, prices.ins, out_share.floor, rows=True), out_share)
        ins = _best_prices(_rank(scores, outs, in_share.floor, rows=False), in_share)
        prices = Prices(outs, ins)
        bound = upper_bound(scores, edges, prices)
        settled = bound >= best_bound - _ENOUGH * abs(best_bound)
        if bound < best_bound:
            best, best_bound = prices, bound
        if settled:
            break
    return best


def likely(scores: Scores, prices: Prices, edges: int) -> Bools:
    """Tell which edges are the best of a vertex net of prices: twice as many as it keeps, and more.

    An optimal graph keeps few others. Edges scored -inf are not among them.
    """
    out, n_in = scores.shape
    wanted = [2 * share(edges, side).floor + _SPARE_EDGES for side in (out, n_in)]
    out_lines = _rank(scores, prices.ins, min(wanted[0], n_in), rows=True).above
    in_lines = _rank(scores, prices.out, min(wanted[1], out), rows=False).above
    chosen = scores - prices.ins >= out_lines[:, None]
    chosen |= scores - prices.out[:, None] >= in_lines
    return np.asarray(chosen & (scores > -np.inf))


def _rank(scores: Scores, others: Floats, k: int, *, rows: bool) -> Ranked:
    """Rank every row of ``scores - others``, or every column of ``scores - others[:, None]``."""
    ranked = np.empty((3, scores.shape[0 if rows else 1]))
    (kernels.rank_rows if rows else kernels.rank_columns)(scores, others, k, ranked)
    return Ranked(*ranked)


def _best_prices(ranked: Ranked, side: Share) -> Floats:
    """Return the best price of every vertex, where each keeps its highest scores net of prices.

    A vertex that keeps k edges prices the gap between its k-th and (k+1)-th score. The vertices
    whose (floor+1)-th score is largest go above the floor; their prices lie above those of the
    others.
    """
    above, at, below = ranked
    if side.spare == 0:
        return _middle(at, above)
    order = np.argsort(-at, kind="stable")
    first, second = at[order[side.spare - 1]], at[order[side.spare]]
    line = _middle(np.array([second]), np.array([first]))[0]
    low, high = at.copy(), np.minimum(above, line)
    up = order[: side.spare]
    low[up], high[up] = np.maximum(below[up], line), at[up]
    return _middle(low, high)


def _middle(low: Floats, high: Floats) -> Floats:
    """Return the middle of each interval, or its finite end."""
    low = np.where(np.isfinite(low), low, high)
    high = np.where(np.isfinite(high), high, low)
    middle = low + (high - low) / 2
    return np.where(np.isfinite(middle), middle, 0.0)
