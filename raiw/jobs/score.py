"""The job ``score``."""

from typing import Annotated, Literal

from pydantic import Field

from raiw.importance.methods import SCORES, Score, find_score
from raiw.jobs.document import MethodJob
from raiw.jobs.fields import Seed


class ScoreJob(MethodJob):
    """Score every edge of a trained network; the result is an importance file to craft with."""

    kind: Literal["score"] = "score"
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*SCORES]})] = (
        "gradient"
    )
    """Importance score."""
    seed: Seed = 0
    """Seed of the score random."""

    @staticmethod
    def find(method: str) -> Score:
        """Return what the registry says of a score."""
        return find_score(method)

    @property
    def needs_data(self) -> bool:
        """Whether the score runs the network."""
        return self.find(self.method).needs_inputs
