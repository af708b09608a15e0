"""How well a cheap sign of accuracy agreed with accuracy, over all trials that were trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

_FEWEST = 4
_DRAWS = 1000
_SEED = 0x5EED


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
    if len(pairs) < _FEWEST or (np.ptp(pairs, axis=0) == 0).any():
        return Agreement(len(pairs), None, None, None, None)
    random = np.random.default_rng(_SEED)
    drawn = [pairs[random.integers(len(pairs), size=len(pairs))] for _ in range(_DRAWS)]
    told = [each for each in drawn if (np.ptp(each, axis=0) > 0).all()]
    return Agreement(
        len(pairs),
        _correlation(stats.spearmanr, pairs),
        _interval([_correlation(stats.spearmanr, each) for each in told]),
        _correlation(stats.kendalltau, pairs),
        _interval([_correlation(stats.kendalltau, each) for each in told]),
    )


def _correlation(measure: Callable[..., Any], pairs: np.ndarray) -> float:
    return float(measure(pairs[:, 0], pairs[:, 1]).statistic)


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
