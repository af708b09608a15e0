"""Prices of a low bound, by coordinate descent on the dual of :mod:`raiw.crafting.bounds.prices`.

Each half sweep sets the prices of one side to the middle of the interval that is best for the
prices of the other, from one pass over the scores that keeps the few best of every vertex; the
next sweep starts ahead of them in the direction of the last step, as long as steps go down.
No operation but those that IEEE 754 rounds correctly: the same bits on every machine.

Source: Nesterov's momentum; restarts: O'Donoghue and Candès, Found. Comput. Math. 15, 2015.
"""

import math
from typing import NamedTuple

import numpy as np

from raiw import kernels
from raiw.crafting.bounds.prices import Prices
from raiw.crafting.degrees import SideShare, share
from raiw.graphs import Floats, Graph
from raiw.kernels.cells import Scores, cells

SWEEPS = 64
_ENOUGH = 2e-5
_SPARE_EDGES = 8
_MOST = 0.9
_SAMPLE = 256


class Ranked(NamedTuple):
    """What the k best cells of every vertex of a side are worth, net of the other side's prices."""

    above: Floats
    """The k-th best; ±inf where there is none, as in the next two."""
    at: Floats
    """The (k+1)-th best."""
    below: Floats
    """The (k+2)-th best."""
    total: Floats
    """The sum of the k best."""


def descend(scores: Scores, edges: int) -> tuple[Prices, bool]:
    """Return prices whose bound is within about a thousandth of the optimum.

    Told with them is whether the bound had stopped falling; where it had not, as for some scores
    of rank one, it may be some hundredths off. Costs up to ``SWEEPS`` times two passes over the
    ``(out, in)`` scores, of which no copy is made.
    """
    out, n_in = scores.shape
    rows, columns = SidePrices(scores, edges, rows=True), SidePrices(scores, edges, rows=False)
    best, best_bound = Prices(np.zeros(out), np.zeros(n_in)), math.inf
    ins, start, last_bound, steps = best.ins, best.ins, math.inf, 0
    for _ in range(SWEEPS):
        outs = _best_prices(rows.rank(start), rows.share)
        ranked = columns.rank(outs)
        last_ins, ins = ins, _best_prices(ranked, columns.share)
        bound = _total(outs, rows.share, ranked, columns.share)
        gain = best_bound - bound
        if gain > 0:
            best, best_bound = Prices(outs, ins), bound
        if abs(gain) <= _ENOUGH * abs(bound):
            return best, True
        steps = steps + 1 if bound < last_bound else 0
        start, last_bound = _ahead(last_ins, ins, steps), bound
    return best, False


@np.errstate(over="ignore", invalid="ignore")
def _ahead(last: Floats, now: Floats, steps: int) -> Floats:
    """Return prices beyond the last step, the further the longer all steps have gone down."""
    if steps <= 1:
        return now
    ahead: Floats = now + (steps - 1) / (steps + 2) * (now - last)
    return ahead


class SidePrices:
    """One side of the graph, which remembers where its vertices' best cells ended last."""

    def __init__(self, scores: Scores, edges: int, *, rows: bool) -> None:
        self.share = share(edges, scores.shape[0 if rows else 1])
        self._scores = scores
        self._lines = scores if rows else scores.T
        self._kernel = kernels.rank_rows if rows else kernels.rank_columns
        self._last: tuple[Floats, Ranked] | None = None

    def rank(self, others: Floats, k: int | None = None) -> Ranked:
        """Rank the ``k`` best cells of every vertex, as many as it keeps if left out."""
        wanted = self.share.floor if k is None else k
        ranked = np.empty((4, len(self._lines)))
        self._kernel(cells(self._scores), others, self._hints(others, wanted), wanted, ranked)
        self._last = others, Ranked(*ranked)
        return self._last[1]

    @np.errstate(over="ignore", invalid="ignore")
    def _hints(self, others: Floats, wanted: int) -> Floats:
        """Return about where the best end; a vertex for which that is too high is read again."""
        if self._last is not None:
            others_then, ranked = self._last
            rise = np.quantile(np.maximum(others - others_then, 0), _MOST)
            lower: Floats = np.nextafter(ranked.below - rise, -np.inf)
            return lower
        step = max(1, self._lines.shape[1] // _SAMPLE)
        sample = self._lines[:, ::step] - others[::step]
        place = sample.shape[1] - (wanted * 3 // 2 // step + _SPARE_EDGES)
        if place < 0:
            return np.full(len(sample), -np.inf)
        hints: Floats = np.partition(sample, place, axis=1)[:, place].astype(np.float64)
        return hints


def spent(prices: Floats, side: SideShare) -> float:
    """Return what the vertices of a side pay at least, as every graph under the contract does."""
    dearest = np.sort(prices)[len(prices) - side.spare :]
    return side.floor * math.fsum(prices) + math.fsum(dearest)


def earned(ranked: Ranked, side: SideShare) -> float:
    """Return the most that a side can keep, net of the other side's prices."""
    spare = np.sort(ranked.at)[len(ranked.at) - side.spare :]
    return math.fsum(ranked.total) + math.fsum(spare)


def likely(scores: Scores, prices: Prices, edges: int) -> Graph:
    """Return the edges that are the best of a vertex net of prices: twice what it keeps, and more.

    An optimal graph keeps few others. Edges scored -inf are not among them.
    """
    out, n_in = scores.shape
    wanted = [2 * share(edges, side).floor + _SPARE_EDGES for side in (out, n_in)]
    rows, columns = SidePrices(scores, edges, rows=True), SidePrices(scores, edges, rows=False)
    out_lines = rows.rank(prices.ins, min(wanted[0], n_in)).above
    in_lines = columns.rank(prices.out, min(wanted[1], out)).above
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    kernels.mark_best(cells(scores), prices.out, prices.ins, out_lines, in_lines, bits)
    return Graph(scores.shape, bits)


def _total(prices: Floats, side: SideShare, ranked: Ranked, others: SideShare) -> float:
    """Return the bound of prices, infinite where float64 does not hold the sums."""
    try:
        return spent(prices, side) + earned(ranked, others)
    except (OverflowError, ValueError):
        return math.inf


@np.errstate(over="ignore", invalid="ignore")
def _best_prices(ranked: Ranked, side: SideShare) -> Floats:
    """Return the best price of every vertex, where each keeps its highest scores net of prices.

    A vertex that keeps k edges prices the gap between its k-th and (k+1)-th score. The vertices
    whose (floor+1)-th score is largest go above the floor; their prices lie above those of the
    others.
    """
    above, at, below, _ = ranked
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
