"""Prices of a low bound, by coordinate descent on the dual problem of :mod:`raiw.crafting.prices`.

Each half sweep sets the prices of one side to the middle of the interval that is best for the
prices of the other, from one pass over the scores that keeps the few best of every vertex.
Comparisons, differences and halves only: the same bits on every machine.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from raiw.crafting import Scores
from raiw.crafting.compiled import kernel
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
        outs = _best_prices(Ranked(*_rank_rows(scores, prices.ins, out_share.floor)), out_share)
        ins = _best_prices(Ranked(*_rank_columns(scores, outs, in_share.floor)), in_share)
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
    out_lines, _, _ = _rank_rows(scores, prices.ins, min(wanted[0], n_in))
    in_lines, _, _ = _rank_columns(scores, prices.out, min(wanted[1], out))
    chosen = scores - prices.ins >= out_lines[:, None]
    chosen |= scores - prices.out[:, None] >= in_lines
    return np.asarray(chosen & (scores > -np.inf))


@kernel
def _rank_rows(scores: Any, others: Any, k: int) -> Any:
    """Rank every row of ``scores - others``."""
    rows, columns = scores.shape
    ranked = np.empty((3, rows))
    best = np.empty(_room(k))
    for row in range(rows):
        count, line = 0, -np.inf
        for column in range(columns):
            value = scores[row, column] - others[column]
            if value > line:
                best[count] = value
                count += 1
                if count == len(best):
                    line = _keep_best(best, k + 2)
                    count = k + 2
        _rank(best[:count], k, ranked[:, row])
    return ranked


@kernel
def _rank_columns(scores: Any, others: Any, k: int) -> Any:
    """Rank every column of ``scores - others[:, None]``, reading by row."""
    rows, columns = scores.shape
    ranked = np.empty((3, columns))
    best = np.empty((columns, _room(k)))
    counts, lines = np.zeros(columns, np.int64), np.full(columns, -np.inf)
    for row in range(rows):
        for column in range(columns):
            value = scores[row, column] - others[row]
            if value > lines[column]:
                best[column, counts[column]] = value
                counts[column] += 1
                if counts[column] == best.shape[1]:
                    lines[column] = _keep_best(best[column], k + 2)
                    counts[column] = k + 2
    for column in range(columns):
        _rank(best[column, : counts[column]], k, ranked[:, column])
    return ranked


@kernel
def _room(k: int) -> int:
    """Return how many values a vertex holds before all but the best k + 2 are dropped."""
    return k + k // 2 + 64


@kernel
def _keep_best(values: Any, count: int) -> float:
    """Move the ``count`` largest values to the front; return the least of them."""
    cut = len(values) - count
    parted = np.partition(values, cut)
    values[:count] = parted[cut:]
    return float(parted[cut])


@kernel
def _rank(values: Any, k: int, ranked: Any) -> None:
    values.sort()
    place = len(values) - k
    ranked[0] = np.inf if k == 0 else values[place] if place >= 0 else -np.inf
    ranked[1] = values[place - 1] if place > 0 else -np.inf
    ranked[2] = values[place - 2] if place > 1 else -np.inf


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
