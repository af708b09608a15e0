"""Whether two methods differ: tests of runs paired by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MOST_PAIRS = 22
"""Pairs whose signs are all enumerated, 2²¹ sums; the exact test is left out beyond."""
_LEVEL = 0.95
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """How far a method's runs are from those of the base with the same seeds."""

    pairs: int
    mean: float
    interval: tuple[float, float] | None
    """The 95 % confidence interval of the mean, by Student's t; None if it has no width."""
    t_test: float | None
    """Two-sided p of the paired t-test."""
    sign_flip: float | None
    """Two-sided p of the exact permutation test that flips the signs of the differences."""


def paired(values: Sequence[float], base: Sequence[float]) -> AccuracyDifference:
    """Compare two methods over the same seeds.

    The t-test assumes that differences are normally distributed. The permutation test assumes only
    that a difference and its negative are equally likely if the methods are equal: of all 2ⁿ ways
    to flip the signs of n differences it counts those whose mean is as far from 0; its p is never
    below 2/2ⁿ, which is 0.0625 for five pairs.

    >>> round(paired([0.95, 0.97, 0.96], [0.93, 0.94, 0.95]).mean, 4)
    0.02
    >>> paired([3.0, 4.0, 6.0], [1.0, 1.0, 1.0]).sign_flip
    0.25
    """
    differences = np.subtract(values, base)
    mean = float(differences.mean())
    if len(differences) < 2 or np.ptp(differences) <= _ROUNDING:  # noqa: PLR2004 -- a spread
        return AccuracyDifference(len(differences), mean, None, None, _sign_flip(differences))
    test = stats.ttest_rel(values, base)
    low, high = test.confidence_interval(_LEVEL)
    return AccuracyDifference(
        pairs=len(differences),
        mean=mean,
        interval=(float(low), float(high)),
        t_test=float(test.pvalue),
        sign_flip=_sign_flip(differences),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number; None stands for a test that was not done.

    The k-th smallest of m is multiplied by m - k + 1, and none is below a smaller one's. Source:
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 6, 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def _sign_flip(differences: np.ndarray) -> float | None:
    if len(differences) > MOST_PAIRS:
        return None
    sums = differences[:1]  # both signs of the first give the same distances
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    bound = abs(math.fsum(differences)) - _ROUNDING * float(np.abs(differences).sum())
    return float(np.mean(np.abs(sums) >= bound))
