"""The job ``study``."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.errors import InvalidInput
from raiw.jobs.document import JobDocument, at
from raiw.jobs.fields import UploadDigest
from raiw.names import check_name
from raiw.specs.document import WHOLE
from raiw.specs.limits import AtMost
from raiw.specs.spec import Spec

REVISION = 1
"""Raised when other things are measured."""
DEFAULT_SEEDS = 3


class StudyJob(JobDocument):
    """Craft one spec by several methods and seeds, and compare degrees, entropy and scores.

    Gates of the spec are not checked. Studies that train are train jobs, which ``raiw study --train
    --server`` asks for.
    """

    kind: Literal["study"] = "study"
    spec: Spec
    importance: UploadDigest | None = None
    """Digest of an uploaded importance file."""
    methods: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], AtMost(32)] = ()
    """Algorithms, the first of which the others are compared with; left out, four with scores and
    three without."""
    seeds: Annotated[int, Field(ge=1, le=1000, strict=True), WHOLE] = DEFAULT_SEEDS
    """Runs of each method that draws at random, from the spec's seed on."""

    @model_validator(mode="after")
    def _methods_exist(self) -> Self:
        at("/methods", lambda: plan_runs(self.chosen, self.seeds))
        if len(set(self.methods)) < len(self.methods):
            raise InvalidInput("a method is given twice", pointer="/methods")
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods to compare."""
        return self.methods or default_methods(scored=self.importance is not None)

    @property
    def subject(self) -> str:
        """Name of the spec."""
        return self.spec.name

    @property
    def algorithm(self) -> str:
        """The method that the others are compared with."""
        return self.chosen[0]

    @property
    def total(self) -> int:
        """Runs."""
        return len(plan_runs(self.chosen, self.seeds))

    @property
    def revisions(self) -> list[int]:
        """Of what is measured, and of every algorithm."""
        return [REVISION, *(ALGORITHMS[name].revision for name in self.chosen)]


def default_methods(*, scored: bool) -> tuple[str, ...]:
    """Return the methods compared by default."""
    if scored:
        return "raiw", "balanced", "regular", "random"
    return "regular", "random", "expander"


def plan_runs(methods: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Return every run as a method and an offset from the spec's seed.

    Raises
    ------
    InvalidInput
        A method is unknown, or ``seeds`` is less than 1.
    """
    check_counts(methods, seeds)
    return [(name, s) for name in methods for s in range(seeds if ALGORITHMS[name].seeded else 1)]


def check_counts(algorithms: Sequence[str], seeds: int) -> None:
    """Make sure that the algorithms are known and that there is a seed.

    Raises
    ------
    InvalidInput
        They are not, or there is none.
    """
    for name in algorithms:
        check_name(name, ALGORITHMS, "algorithm")
    if seeds < 1:
        raise InvalidInput(f"{seeds} seeds: give at least 1")
