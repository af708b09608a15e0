"""A weighted sum of scores of one network, each normalised layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from raiw.graphs import Floats
from raiw.importance.methods import Score
from raiw.importance.scored_model import ScoredModel
from raiw.scores.combining import weighted_sum


def measure(
    network: ScoredModel, *, terms: Sequence[tuple[float, Score]], normalise: str, **options: Any
) -> dict[str, Floats]:
    """Return the sum of ``weight * N(score)`` of every edge; an option goes to who has it."""
    measured = []
    for weight, score in terms:
        own = {name: options[name] for name in score.options}
        with np.errstate(over="ignore"):
            # As a file of this score has them, so that the sum of the files is the same.
            single = {
                name: array.astype(np.float32)
                for name, array in score.load()(network, **own).items()
            }
        measured.append((weight, repr(score.name), single))
    return {
        name: array.astype(np.float64) for name, array in weighted_sum(measured, normalise).items()
    }
