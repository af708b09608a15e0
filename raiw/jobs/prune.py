"""The job ``prune``."""

from typing import Annotated, Literal

from pydantic import Field

from raiw.jobs.document import MethodJob
from raiw.pruning.methods import METHODS, Method
from raiw.pruning.methods import method as find_method


class PruneJob(MethodJob):
    """Remove channels of a trained network; the results are the smaller weights and the choice."""

    kind: Literal["prune"] = "prune"
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*METHODS]})] = (
        "entropic"
    )
    """Pruning method."""

    @staticmethod
    def find(method: str) -> Method:
        """Return what the registry says of a pruning method."""
        return find_method(method)

    @property
    def needs_data(self) -> bool:
        """Whether the method runs the network."""
        return self.find(self.method).needs_data
