"""How well a cheap sign of accuracy agreed with accuracy, over all trials that were trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FEWEST = 4
_DRAWS = 1000
_SEED = 0x5EED
_BLOCK = 1 << 20
"""Pairs of trials compared at a time."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlations of two sequences with their 95 % intervals."""

    count: int
    spearman: float | None
    spearman_interval: tuple[float, float] | None
    kendall: float | None
    kendall_interval: tuple[float, float] | None


def agreement(signs: Sequence[float | None], accuracies: Sequence[float]) -> Agreement:
    """Return Spearman's and Kendall's rank correlation, with percentile bootstrap intervals.

    Pairs are drawn with replacement, 1000 times, the same for the same numbers; draws in which one
    side is constant say nothing and are left out. None where there are fewer than four pairs, or
    one side is constant.

    >>> found = agreement([1, 2, 3, 4, 5], [0.1, 0.2, 0.4, 0.3, 0.5])
    >>> round(found.spearman, 3), round(found.kendall, 3)
    (0.9, 0.8)
    """
    known = [(s, a) for s, a in zip(signs, accuracies, strict=True) if s is not None]
    pairs = np.array(known, np.float64).reshape(-1, 2)
    count = len(pairs)
    if count < _FEWEST or (np.ptp(pairs, axis=0) == 0).any():
        return Agreement(count, None, None, None, None)
    drawn = np.random.default_rng(_SEED).integers(count, size=(_DRAWS, count))
    times = np.array([np.bincount(draw, minlength=count) for draw in drawn], np.float64)
    spearman, kendall = _correlations(pairs, np.vstack([np.ones(count), times]))
    return Agreement(
        count, float(spearman[0]), _interval(spearman), float(kendall[0]), _interval(kendall)
    )


def _correlations(
    pairs: npt.NDArray[np.float64], times: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return Spearman's rho and Kendall's tau-b of samples with each pair so many times.

    With s_ij the sign of x_i - x_j, the rank of x_i less the mean rank is half the sum of s_ij over
    j, and tau is the correlation of the s_ij themselves. Source: Kendall, Rank Correlation Methods,
    1948. Every sum is of whole numbers, so exact.
    """
    sums = np.zeros((2, 3, len(times)))
    for rows in np.array_split(np.arange(len(pairs)), -(-(len(pairs) ** 2) // _BLOCK)):
        x, y = (np.sign(np.subtract.outer(side, side[rows])) for side in pairs.T)
        ranks = times @ x, times @ y
        products = [ranks[0] * ranks[1], ranks[0] ** 2, ranks[1] ** 2]
        signs = [times @ (x * y), times @ x**2, times @ y**2]
        sums += np.sum(np.array([products, signs]) * times[:, rows], axis=-1)
    both, first, second = np.moveaxis(sums, 1, 0)
    constant = (first == 0) | (second == 0)
    return np.where(constant, np.nan, both / np.sqrt(np.where(constant, 1.0, first * second)))


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the interval of the draws that say something: all values but the first."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return float(low), float(high)
