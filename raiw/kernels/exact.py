"""Sums of floats that round once, at the end: no order of addition can change them."""

from collections.abc import Sequence

import numpy as np

from raiw import kernels
from raiw.graphs import Bits, Floats, Graph
from raiw.kernels.cells import Scores, as_native, cells

_EXPONENTS = 2048
_UNIT = 1 << 1075
"""How often half the smallest positive float64 goes into 1."""


class ExactSum:
    """A sum that is exact until it is asked for.

    >>> whole = ExactSum()
    >>> whole.add([1e100, 1.0, -1e100])
    >>> whole.total()
    1.0
    """

    def __init__(self) -> None:
        self._bins = np.zeros((2, _EXPONENTS), np.int64)

    def add(self, values: Sequence[float] | Floats) -> None:
        """Add some numbers."""
        kernels.add_numbers(np.ascontiguousarray(values, np.float64), self._bins)

    def add_kept(self, scores: Scores, bits: Bits) -> tuple[Floats, Floats]:
        """Add the scores of a graph's edges; return the lowest of every output and input."""
        levels = np.empty(scores.shape[0]), np.empty(scores.shape[1])
        kernels.survey_kept(cells(scores), bits, self._bins, *levels)
        return levels

    def add_reduced(self, scores: Scores, out_prices: Floats, in_prices: Floats) -> float:
        """Add ``max(s - α_u - β_v, 0)`` over all cells.

        Return the highest score of those that count, 0 if none is above it.
        """
        return kernels.add_reduced(cells(scores), out_prices, in_prices, self._bins)

    def include(self, other: "ExactSum") -> None:
        """Add another sum."""
        self._bins += other._bins  # noqa: SLF001 -- of the same class

    def total(self) -> float:
        """Return the sum, rounded to the nearest float64.

        Raises
        ------
        OverflowError
            The sum is no finite number.
        """
        if self._bins[:, -1].any():
            raise OverflowError("a term is not finite")
        used = np.flatnonzero(self._bins.any(axis=0))
        units: int = sum(
            (low + (high << 26)) << max(exponent, 1)
            for exponent, (low, high) in zip(
                used.tolist(), self._bins[:, used].T.tolist(), strict=True
            )
        )
        return units / _UNIT


def kept_score(graph: Graph, scores: Scores) -> float | None:
    """Return the sum of the kept scores, or None where it is no finite number.

    The sum is exact and rounded once to float64, so no order of addition can change it.
    """
    total = ExactSum()
    total.add_kept(as_native(scores), graph.bits)
    try:
        return total.total()
    except OverflowError:
        return None
