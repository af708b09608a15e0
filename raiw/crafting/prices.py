"""Dual prices: how much score any graph under the degree contract can keep.

Give every output u a price α_u and every input v a price β_v. A graph that keeps the contract
spends the same prices whatever its edges are, up to which vertices stand above the floor, so with
``top_k(α)`` the sum of the k largest prices and ``(floor, spare)`` the share of a side

    kept score <= Σ max(s - α_u - β_v, 0) + Σ over both sides (floor·Σ price + top_spare(price)).

This is linear-programming duality for the transportation polytope: any prices give a bound, and
the best give the optimum itself.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raiw.crafting import Scores
from raiw.crafting.degrees import share
from raiw.graphs import Bools

Floats = npt.NDArray[np.float64]

_ROUNDING = 2.0**-50
_BLOCK_CELLS = 1 << 20


class Prices(NamedTuple):
    """Prices of the outputs and of the inputs."""

    out: Floats
    ins: Floats


def upper_bound(scores: Scores, edges: int, prices: Prices) -> float:
    """Return the bound that ``prices`` prove, with a margin for rounding.

    The terms are rounded differences, summed exactly; the margin covers what rounding can take
    from the ``edges`` edges that a graph keeps.
    """
    out, n_in = scores.shape
    largest = float(np.max(np.abs(scores), where=np.isfinite(scores), initial=0.0))
    largest += sum(float(np.max(np.abs(side))) for side in prices)
    rows = max(1, _BLOCK_CELLS // n_in)
    terms = [edges * largest * _ROUNDING]
    for start in range(0, out, rows):
        reduced = reduced_scores(scores, prices, slice(start, start + rows))
        terms += reduced[reduced > 0].tolist()
    for side in prices:
        floor, spare = share(edges, len(side))
        terms += (floor * side).tolist()
        terms += np.sort(side)[len(side) - spare :].tolist()
    return math.fsum(terms)


def reduced_scores(scores: Scores, prices: Prices, rows: slice = slice(None)) -> Floats:
    """Return ``s - α_u - β_v`` of some rows."""
    reduced: Floats = scores[rows] - prices.out[rows, None] - prices.ins
    return reduced


class Arcs(NamedTuple):
    """Some edges of the complete graph, by row: CSR with the scores of the edges."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    scores: Floats


def arcs_of(chosen: Bools, scores: Scores) -> Arcs:
    """Return the chosen edges as arcs."""
    indptr = np.zeros(len(chosen) + 1, np.int64)
    np.cumsum(chosen.sum(axis=1), out=indptr[1:])
    columns = np.ascontiguousarray(np.nonzero(chosen)[1])
    return Arcs(indptr, columns, scores[chosen].astype(np.float64))
