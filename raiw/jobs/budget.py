"""The job ``budget``."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.budgets.methods import METHODS, PRUNED
from raiw.errors import InvalidInput, InvalidSpec
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument, at
from raiw.jobs.fields import UploadDigest
from raiw.names import check_name
from raiw.specs.spec import Spec

REVISION = 1
"""Raised when the same scores share a budget otherwise."""


class BudgetJob(JobDocument):
    """Share a density or a number of weights or operations among layers, and craft by it if asked.

    The report has the ``spec`` with the edges of every layer, and its ``plan``; the result of
    ``craft`` is a job of its own.
    """

    kind: Literal["budget"] = "budget"
    spec: Spec
    """Its ``craft.density``, ``craft.parameters`` or ``craft.flops`` is what is shared."""
    importance: UploadDigest
    """Digest of the uploaded scores; for ``afie`` weights, for ``channels`` the file of a prune
    job."""
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*METHODS]})]
    """What to share by."""
    layers: Annotated[str, Field(json_schema_extra={"enum": [*PRUNED]})] = "convolutions"
    """For ``afie``: which layers lose weights."""
    craft: Annotated[bool, Field(strict=True)] = False
    """Craft masks too: from the same file, but for ``channels``, which are no scores."""

    @model_validator(mode="after")
    def _can_be_shared(self) -> Self:
        at("/method", lambda: check_name(self.method, METHODS, "method"))
        at("/layers", lambda: check_name(self.layers, PRUNED, "choice of layers"))
        if self.layers != "convolutions" and self.method != "afie":
            raise InvalidInput("layers are chosen by 'afie' only: leave it out", pointer="/layers")
        asked = self.spec.craft
        if asked.density is None and asked.parameters is None and asked.flops is None:
            raise InvalidSpec(
                "there is no total to share: give craft density, parameters or flops",
                pointer="/craft",
            )
        if self.craft:
            self.spec.algorithm(scored=self.scored)
        return self

    @property
    def scored(self) -> bool:
        """Whether the file is one of scores, or weights, that masks can be crafted from."""
        return self.method != "channels"

    def crafting(self, shared: Spec) -> CraftJob:
        """Return the job that crafts the spec with its shares."""
        return CraftJob(spec=shared, importance=self.importance if self.scored else None)

    @property
    def subject(self) -> str:
        """Name of the spec."""
        return self.spec.name

    @property
    def algorithm(self) -> str:
        """The method."""
        return self.method

    @property
    def total(self) -> int:
        """Sharing, and crafting if asked."""
        return 1 + self.craft

    @property
    def revisions(self) -> list[int]:
        """Of sharing, and of the algorithm where masks are crafted."""
        name = self.spec.algorithm(scored=self.scored)
        return [REVISION, *([ALGORITHMS[name].revision] if self.craft else [])]
