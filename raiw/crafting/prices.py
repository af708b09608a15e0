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
from raiw.crafting.degrees import Share, share

Floats = npt.NDArray[np.float64]

SWEEPS = 24
_ENOUGH = 1e-5
_ROUNDING = 2.0**-50
_BLOCK_CELLS = 1 << 22


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


def descend(scores: Scores, edges: int) -> Prices:
    """Return prices whose bound is close to the optimum, by coordinate descent.

    Each half sweep sets the prices of one side to the middle of the interval that is best for the
    prices of the other; it costs a selection in every row or column, O(out·in). Comparisons,
    sums of two and halves only: the same bits on every machine.
    """
    out, n_in = scores.shape
    shares = share(edges, out), share(edges, n_in)
    prices = Prices(np.zeros(out), np.zeros(n_in))
    best, best_bound = prices, math.inf
    for _ in range(SWEEPS):
        outs = _best_prices(scores - prices.ins, shares[0])
        ins = _best_prices((scores - outs[:, None]).T, shares[1])
        prices = Prices(outs, ins)
        bound = upper_bound(scores, edges, prices)
        settled = bound >= best_bound - _ENOUGH * abs(best_bound)
        if bound < best_bound:
            best, best_bound = prices, bound
        if settled:
            break
    return best


def _best_prices(reduced: Floats, side: Share) -> Floats:
    """Return the best price of every row, where each row keeps its highest reduced scores.

    A row that keeps k edges prices the gap between its k-th and (k+1)-th score. The rows of the
    largest (floor+1)-th score are those that go above the floor; their prices lie above those of
    the others.
    """
    above, at, below = _ranked(reduced, side.floor)
    if side.spare == 0:
        return _middle(at, above)
    order = np.argsort(-at, kind="stable")
    first, second = at[order[side.spare - 1]], at[order[side.spare]]
    line = _middle(np.array([second]), np.array([first]))[0]
    low, high = at.copy(), np.minimum(above, line)
    up = order[: side.spare]
    low[up], high[up] = np.maximum(below[up], line), at[up]
    return _middle(low, high)


def _ranked(reduced: Floats, floor: int) -> tuple[Floats, Floats, Floats]:
    """Return each row's floor-th, (floor+1)-th and (floor+2)-th largest value; ±inf outside."""
    columns = reduced.shape[1]
    places = [columns - floor, columns - floor - 1, columns - floor - 2]
    inside = [place for place in places if 0 <= place < columns]
    parted = np.partition(reduced, inside, axis=1)
    above, at, below = (
        parted[:, place]
        if place in inside
        else np.full(len(reduced), math.inf if place >= columns else -math.inf)
        for place in places
    )
    return above, at, below


def _middle(low: Floats, high: Floats) -> Floats:
    """Return the middle of each interval, or its finite end."""
    low = np.where(np.isfinite(low), low, high)
    high = np.where(np.isfinite(high), high, low)
    middle = low + (high - low) / 2
    return np.where(np.isfinite(middle), middle, 0.0)
