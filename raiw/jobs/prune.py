"""The job ``prune``."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from raiw.errors import InvalidInput
from raiw.jobs.document import MethodJob, at
from raiw.jobs.fields import Seed
from raiw.pruning.methods import METHODS, Method
from raiw.pruning.methods import method as find_method
from raiw.specs.document import WHOLE
from raiw.specs.limits import AtMost
from raiw.training.recipe import Recipe

MAX_STEPS = 100
MAX_KEPT = 1000

KeptShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)]
KeptShares = Annotated[dict[Annotated[str, Field(max_length=200)], KeptShare], AtMost(MAX_KEPT)]


class PruneJob(MethodJob):
    """Remove channels of a trained network; the results are the smaller weights and the choice."""

    newer: ClassVar[frozenset[str]] = MethodJob.newer | {"keep", "steps", "recipe", "seed"}

    kind: Literal["prune"] = "prune"
    method: Annotated[str, Field(max_length=100, json_schema_extra={"enum": [*METHODS]})] = (
        "entropic"
    )
    """Pruning method."""
    keep: KeptShares = Field(default_factory=dict)
    """Share of its filters that a layer keeps, by names or patterns; the last that fits counts."""
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS, strict=True), WHOLE] = 1
    """Times to prune, each followed by training."""
    recipe: Recipe | None = None
    """Trains what is left after each step; left out, nothing is trained."""
    seed: Seed = 0
    """Decides the order of images in training."""

    @model_validator(mode="after")
    def _steps_train(self) -> Self:
        at("/keep", lambda: self.find(self.method).check_keep(self.keep))
        if self.recipe is None:
            if self.steps > 1:
                raise InvalidInput(
                    f"{self.steps} steps without training are one: give a recipe, such as "
                    f"{{epochs: 2}}",
                    pointer="/recipe",
                )
        elif self.data is None:
            raise InvalidInput("training needs data: name a data set", pointer="/data")
        elif self.recipe.dynamics is not None:
            raise InvalidInput(
                "dynamics change masks, and pruning channels makes none: leave them out",
                pointer="/recipe/dynamics",
            )
        return self

    @property
    def total(self) -> int:
        """Epochs of all steps; one step where nothing is trained."""
        return 1 if self.recipe is None else self.steps * self.recipe.epochs

    @property
    def revisions(self) -> list[int]:
        """Of the method, and of training."""
        return [*super().revisions, *(() if self.recipe is None else self.recipe.revisions)]

    @staticmethod
    def find(method: str) -> Method:
        """Return what the registry says of a pruning method."""
        return find_method(method)

    @property
    def needs_data(self) -> bool:
        """Whether the method runs the network."""
        return self.find(self.method).needs_data
