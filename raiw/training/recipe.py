"""How a network is trained: one frozen document."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from raiw.specs.document import WHOLE, Document
from raiw.training.dynamics import Dynamics

REVISION = 1
"""Raised only when the same run would give other numbers."""
MAX_SEED = (1 << 63) - 1

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Rate = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False, strict=True)]


class Recipe(Document):
    """Stochastic gradient descent with Nesterov's momentum and a rate that is halved by steps.

    The RAIW paper prints no recipe. The defaults are those of Deep Expander Networks, which trains
    a VGG-16 of the very layout of RAIW's d-16. Source: Prabhu et al., Deep Expander Networks:
    Efficient Deep Networks from Graph Theory, ECCV 2018, and its published logs.

    >>> recipe = Recipe()
    >>> [recipe.learning_rate_at(epoch) for epoch in (0, 30, 299)]
    [0.05, 0.025, 0.0005]
    """

    epochs: Annotated[int, Field(ge=1, le=10_000, strict=True), WHOLE] = 300
    batch: Annotated[int, Field(ge=2, le=1 << 20, strict=True), WHOLE] = 128
    """Images a step, over all processes together."""
    learning_rate: Positive = 0.05
    learning_rate_floor: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 5e-4
    halve_every: Annotated[int, Field(ge=1, le=1 << 30, strict=True), WHOLE] = 30
    """Epochs after which the learning rate is halved."""
    momentum: Rate = 0.9
    weight_decay: Rate = 5e-4
    augment: Annotated[bool, Field(strict=True)] = True
    """Pad by 4, crop at random, mirror at random."""
    slimming: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] = 0.0
    """Strength of the L1 penalty on batch normalisation's scales (Liu et al., ICCV 2017)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What products are computed in; weights are float32 always."""
    dynamics: Dynamics | None = None
    """How masks change while the network is trained; left out, they stay as they are."""

    @model_validator(mode="after")
    def _floor_below_rate(self) -> Self:
        if self.learning_rate_floor > self.learning_rate:
            raise PydanticCustomError(
                "learning_rate_floor",
                "learning_rate_floor {floor} is above learning_rate {rate}",
                {"floor": self.learning_rate_floor, "rate": self.learning_rate},
            )
        return self

    def keyed(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return what content keys are made of; dynamics only where there are some.

        So recipes without them have the keys that they always had.
        """
        none = {"dynamics"} if self.dynamics is None else set()
        return super().keyed(without={*without, *none})

    @property
    def starts_dense(self) -> bool:
        """Whether a run with masks starts with every edge."""
        return self.dynamics is not None and self.dynamics.starts_dense

    @property
    def revisions(self) -> list[int]:
        """Of all that trains by the recipe."""
        return [REVISION, *(() if self.dynamics is None else self.dynamics.revisions)]

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        halved = self.learning_rate * 0.5 ** (epoch // self.halve_every)
        return max(halved, self.learning_rate_floor)
