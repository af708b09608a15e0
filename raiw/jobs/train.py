"""The job ``train``."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.errors import InvalidInput
from raiw.jobs.fields import DataSet, Seed, UploadDigest
from raiw.jobs.masked import MaskedJob
from raiw.specs.document import WHOLE, Document
from raiw.specs.limits import AtMost
from raiw.training.recipe import Recipe

MAX_SEEDS = 100
MAX_FLOORS = 1000

HeldShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False, strict=True)]


class Floor(Document):
    """What a run must have reached by an epoch, to go on."""

    epoch: Annotated[int, Field(ge=1, le=10_000, strict=True), WHOLE]
    accuracy: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
    """Of the best epoch so far."""


class TrainJob(MaskedJob):
    """Train a network from scratch or from weights, with masks held, once for each seed.

    Without masks and spec the dense network is trained.
    """

    newer: ClassVar[frozenset[str]] = MaskedJob.newer | {"weights", "validation", "floors"}

    kind: Literal["train"] = "train"
    weights: UploadDigest | None = None
    """Digest of an uploaded state dict to go on from; left out, each seed draws its own."""
    data: DataSet
    """A data set that the workers have, or the digest of an uploaded one."""
    recipe: Recipe = Recipe()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AtMost(MAX_SEEDS)] = (0,)
    """Each decides order and crops of one run, and without weights the first ones."""

    validation: HeldShare | None = None
    """Share of the training images that are held back and tested, instead of the test images; of
    each class alike, and the same ones in every run."""
    floors: Annotated[tuple[Floor, ...], AtMost(MAX_FLOORS)] = ()
    """A run ends early where its best accuracy so far is below the floor of an epoch."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise InvalidInput("a seed is given twice", pointer="/seeds")
        if self.recipe.dynamics is not None:
            if self.masks is None and self.spec is None:
                raise InvalidInput(
                    "dynamics change masks, and there are none: give masks or a spec",
                    pointer="/recipe/dynamics",
                )
            if self.spec is not None:
                self.recipe.dynamics.crafted_by(self.algorithm)
        return self

    @property
    def total(self) -> int:
        """Epochs of all seeds."""
        return self.recipe.epochs * len(self.seeds)

    @property
    def revisions(self) -> list[int]:
        """Of training, and of the algorithm where a spec is crafted."""
        crafting = [] if self.spec is None else [ALGORITHMS[self.algorithm].revision]
        return [*self.recipe.revisions, *crafting]
