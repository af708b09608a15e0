"""Prices of a low bound, by coordinate descent on the dual of :mod:`raiw.crafting.bounds.prices`.

It starts from a graph: the lowest score that a vertex keeps is about what its last edge costs, and
both ends share that. Each half sweep then sets the prices of one side to the middle of the interval
that is best for the prices of the other, from one pass over the scores that looks at the cells near
the line of every vertex; the next sweep starts ahead of them in the direction of the last step, as
long as steps go down. No operation but those that IEEE 754 rounds correctly: the same bits on every
machine.

Source: Nesterov's momentum; restarts: O'Donoghue and Candès, Found. Comput. Math. 15, 2015.
"""

import numpy as np

from raiw import kernels
from raiw.crafting.bounds.prices import Prices
from raiw.crafting.degrees import share
from raiw.graphs import Floats, Graph
from raiw.kernels.cells import Scores, cells

SWEEPS = 64
_ENOUGH = 2e-5
"""A sweep that lowers the bound by less than this share of it is the last."""
_QUICK_ENOUGH = 1e-4
_SPARE_EDGES = 8
_SAMPLE = 256


def descend(
    scores: Scores,
    edges: int,
    levels: tuple[Floats, Floats],
    kept: float,
    *,
    quick: bool = False,
) -> tuple[Prices, bool]:
    """Return prices whose bound is within about a thousandth of the optimum.

    A quick descent ends after one sweep, or two, unless that promises much of others.
    Also return whether the bound had stopped falling. Costs up to ``SWEEPS`` times two passes
    over the ``(out, in)`` scores, of which no copy is made.

    Parameters
    ----------
    levels
        The lowest score that every output and every input keeps in a graph, ``(out,)`` and
        ``(in,)``, as :meth:`raiw.kernels.exact.ExactSum.add_kept` tells.
    kept
        The score that the graph keeps.
    quick
        Stop where another sweep is not worth its time.
    """
    prices = Prices(*(_start(side) for side in levels))
    enough = _QUICK_ENOUGH if quick else _ENOUGH
    settled = kernels.descend(cells(scores), edges, *prices, SWEEPS, enough, kept, quick)
    return prices, settled


def _start(levels: Floats) -> Floats:
    """Return half of the levels; a vertex that keeps nothing gets the highest of its side."""
    known = np.isfinite(levels)
    dearest = float(levels[known].max()) if known.any() else 0.0
    start: Floats = np.where(known, levels, dearest) / 2
    return start


def likely(scores: Scores, prices: Prices, edges: int) -> Graph:
    """Return the edges that are the best of a vertex net of prices: twice what it keeps, and more.

    An optimal graph keeps few others. Edges scored -inf are not among them.
    """
    out, n_in = scores.shape
    wanted = [2 * share(edges, side).floor + _SPARE_EDGES for side in (out, n_in)]
    out_lines = _lines(scores, prices.ins, min(wanted[0], n_in), rows=True)
    in_lines = _lines(scores, prices.out, min(wanted[1], out), rows=False)
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    kernels.mark_best(cells(scores), prices.out, prices.ins, out_lines, in_lines, bits)
    return Graph(scores.shape, bits)


def _lines(scores: Scores, prices: Floats, count: int, *, rows: bool) -> Floats:
    """Return the last of so many best cells of every row, or column, net of the other's prices."""
    rank = kernels.rank_rows if rows else kernels.rank_columns
    lines = scores.shape[0 if rows else 1]
    ranked: Floats = np.empty((3, lines))
    lows = _sampled(scores if rows else scores.T, prices, count)
    rank(cells(scores), prices, lows, np.full(lines, np.inf), count, ranked)
    last: Floats = ranked[0]
    return last


@np.errstate(over="ignore", invalid="ignore")
def _sampled(lines: Scores, prices: Floats, count: int) -> Floats:
    """Return an estimate, rather low, of where the best cells of every line end; from a sample."""
    step = max(1, lines.shape[1] // _SAMPLE)
    sample = lines[:, ::step] - prices[::step]
    place = sample.shape[1] - (count * 3 // 2 // step + _SPARE_EDGES)
    if place < 0:
        return np.full(len(sample), -np.inf)
    lows: Floats = np.partition(sample, place, axis=1)[:, place].astype(np.float64)
    return lows
