"""What was found against the usual ways to share the same budget, over fresh seeds."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raiw.significance import AccuracyDifference, holm, paired

FOUND = "found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One configuration over the seeds that it finished."""

    name: str
    runs: int
    mean: float
    deviation: float | None
    """Standard deviation over seeds; None for one run."""
    worst: float
    difference: AccuracyDifference | None
    """What was found minus this, paired by seed; None for what was found."""
    t_test_holm: float | None
    """p of the paired t-test, corrected for all comparisons."""
    sign_flip_holm: float | None


def compare(accuracies: Mapping[str, Mapping[int, float]]) -> list[dict[str, Any]]:
    """Return a row for each configuration, given its accuracy by seed; :data:`FOUND` is the first.

    Every other one is a comparison with it; p-values are corrected by Holm's procedure.
    """
    found = accuracies[FOUND]
    differences = [
        None if name == FOUND else _difference(found, own) for name, own in accuracies.items()
    ]
    t_tests = holm([one.t_test if one else None for one in differences])
    flips = holm([one.sign_flip if one else None for one in differences])
    rows = [
        Compared(
            name=name,
            runs=len(own),
            mean=statistics.fmean(own.values()),
            deviation=statistics.stdev(own.values()) if len(own) > 1 else None,
            worst=min(own.values()),
            difference=difference,
            t_test_holm=t_test,
            sign_flip_holm=flip,
        )
        for (name, own), difference, t_test, flip in zip(
            accuracies.items(), differences, t_tests, flips, strict=True
        )
        if own
    ]
    return [asdict(row) for row in rows]


def _difference(
    found: Mapping[int, float], other: Mapping[int, float]
) -> AccuracyDifference | None:
    common = sorted(found.keys() & other.keys())
    return paired([found[s] for s in common], [other[s] for s in common]) if common else None
