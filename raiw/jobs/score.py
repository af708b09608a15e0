"""The job ``score``."""

from typing import Annotated, Literal

from pydantic import Field

from raiw.importance.methods import SCORES, Score, find_score
from raiw.jobs.document import MethodJob
from raiw.jobs.fields import Seed

COMBINED = "combined"
"""What weighted sums are listed by."""
_CHOICE = (
    f"Importance score, one of {', '.join(SCORES)}, or a weighted sum of some, such as "
    f"'0.5*gradient + 0.5*magnitude'."
)


class ScoreJob(MethodJob):
    """Score every edge of a trained network; the result is an importance file to craft with."""

    kind: Literal["score"] = "score"
    method: Annotated[str, Field(max_length=200, description=_CHOICE)] = "gradient"
    seed: Seed = 0
    """Seed of the score random, and of the positions that entropic draws."""

    @staticmethod
    def find(method: str) -> Score:
        """Return what the registry says of a score."""
        return find_score(method)

    @property
    def algorithm(self) -> str:
        """The score, or ``combined``: lists have no room for a whole sum."""
        return self.method if self.method in SCORES else COMBINED

    @property
    def needs_data(self) -> bool:
        """Whether the score runs the network."""
        return self.find(self.method).needs_inputs
