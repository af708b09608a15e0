"""Dual prices: how much score any graph under the degree contract can keep.

Give every output u a price α_u and every input v a price β_v. A graph that keeps the contract pays
the same total whatever its edges are, except for which vertices are above the floor, so with
``top_k(α)`` the sum of the k largest prices and ``(floor, spare)`` the share of a side

    kept score <= Σ max(s - α_u - β_v, 0) + Σ over both sides (floor·Σ price + top_spare(price)).

This is linear-programming duality for the transportation polytope: any prices give a bound, and
the best give the optimum itself.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raiw import kernels
from raiw.crafting.degrees import share
from raiw.graphs import Floats, Graph
from raiw.kernels.cells import Scores, cells
from raiw.kernels.exact import ExactSum

_ROUNDING = 2.0**-50


class Prices(NamedTuple):
    """Prices of the outputs and of the inputs."""

    out: Floats
    ins: Floats


def upper_bound(scores: Scores, edges: int, prices: Prices) -> float:
    """Return the bound that ``prices`` prove, with a margin for rounding.

    The terms are rounded differences, summed exactly; the margin covers what rounding can take
    from the ``edges`` edges that a graph keeps. An edge that counts scores no more than the highest
    term's, or its prices together. Infinite if a term is not finite.
    """
    sums = ExactSum()
    largest = sums.add_reduced(scores, *prices) + _largest_price(prices)
    if not edges * largest < math.inf:
        return math.inf
    sums.add([edges * largest * _ROUNDING])
    for side in prices:
        floor, spare = share(edges, len(side))
        sums.add(floor * side)
        if spare:
            sums.add(np.partition(side, len(side) - spare)[len(side) - spare :])
    try:
        return sums.total()
    except OverflowError:
        return math.inf


def reach(scores: Scores, prices: Prices) -> float:
    """Return a magnitude that no finite score net of prices exceeds."""
    return largest_magnitude(scores) + _largest_price(prices)


def _largest_price(prices: Prices) -> float:
    return sum(float(np.max(np.abs(side))) for side in prices)


def largest_magnitude(scores: Scores) -> float:
    """Return the largest magnitude of a finite score."""
    lowest, highest = kernels.finite_range(cells(scores))
    return max(abs(lowest), abs(highest))


def reduced_scores(scores: Scores, prices: Prices) -> Floats:
    """Return ``s - α_u - β_v``, in double precision."""
    reduced: Floats = scores - prices.out[:, None] - prices.ins
    return reduced


def underpriced(scores: Scores, prices: Prices, line: float, known: Graph) -> Graph | None:
    """Return ``known`` with the edges above ``line`` net of prices, None if there are no others."""
    bits = known.bits.copy()
    found = kernels.mark_above(cells(scores), prices.out, prices.ins, line, bits)
    return Graph(known.shape, bits) if found else None


class Arcs(NamedTuple):
    """Some edges of the complete graph, by row: CSR with the scores of the edges."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    scores: Floats


def arcs_of(chosen: Graph, scores: Scores) -> Arcs:
    """Return the chosen edges as arcs."""
    indptr, indices = (np.asarray(part, np.int64) for part in chosen.adjacency())
    rows = np.repeat(np.arange(len(scores)), np.diff(indptr))
    return Arcs(indptr, indices, scores[rows, indices].astype(np.float64))
