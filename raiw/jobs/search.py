"""The job ``search``."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from raiw.algorithms import ALGORITHMS, Contract
from raiw.errors import InvalidInput, InvalidSpec
from raiw.jobs.document import NetworkJob
from raiw.jobs.fields import Argument, DataSet, Seed
from raiw.jobs.train import HeldShare
from raiw.names import check_name, listed
from raiw.specs.crafting import TARGETS, Craft, GroupSize
from raiw.specs.document import WHOLE, Document
from raiw.specs.limits import AtMost
from raiw.training.recipe import Recipe

REVISION = 1
"""Raised when the same document would have other trials trained, or compared otherwise."""
MAX_TRIALS = 10_000
MAX_NETWORKS = 32
"""Most networks to choose among: each is trained dense, for scores and starting shares."""

ALLOCATIONS = ("uniform", "erk", "degree", "global", "afie", "entropic")
"""Ways to share a budget that a search may start with."""
BASELINES = ("uniform", "erk", "degree", "global")
"""Those that what was found is compared with."""
_ANY_EDGES = frozenset({Contract.REGULAR, Contract.EDGES, Contract.ONE_SIDED, Contract.FAN_IN})

_Count = Annotated[int, Field(ge=1, le=MAX_TRIALS, strict=True), WHOLE]
_Name = Annotated[str, Field(max_length=100)]
_Width = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)]


class Budget(Document):
    """What a network may cost at most; exactly one of the first four."""

    parameters: Annotated[int, Field(ge=1, strict=True), WHOLE] | None = None
    """Weights kept, those of dense layers included."""
    flops: Annotated[int, Field(ge=1, strict=True), WHOLE] | None = None
    """Operations for one input: two for each weight kept and each of its positions."""
    bytes: Annotated[int, Field(ge=1, strict=True), WHOLE] | None = None
    """Of the weights kept, in float32, and of the packed masks."""
    ms: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] | None = None
    """Milliseconds for one batch on the machine that searches, in the fastest form of each
    layer: predicted for every trial, and measured of what was found."""
    batch: Annotated[int, Field(ge=1, le=1 << 20, strict=True), WHOLE] = 1
    """Inputs at a time, for ``ms``."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        given = [unit for unit in self.units if getattr(self, unit) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a budget is one of {', '.join(self.units)}; this one has "
                f"{' and '.join(given) or 'none'}"
            )
        return self

    @property
    def units(self) -> tuple[Literal["parameters", "flops", "bytes", "ms"], ...]:
        """What can be limited."""
        return ("parameters", "flops", "bytes", "ms")

    @property
    def limit(self) -> tuple[Literal["parameters", "flops", "bytes", "ms"], float]:
        """The unit and the amount."""
        return next(
            (unit, float(amount))
            for unit in self.units
            if (amount := getattr(self, unit)) is not None
        )


class SearchJob(NetworkJob):
    """Search for the sparse configuration of the best accuracy under a budget.

    Each trial is a job ``train`` on a part of the training images, tested on the rest of them. What
    was found is trained anew on all of them and compared, on the test images, with the usual ways
    to share the same budget.
    """

    kind: Literal["search"] = "search"
    data: DataSet
    """A data set that the workers have, or the digest of an uploaded one."""
    budget: Budget
    trials: _Count = 60
    """Configurations to try."""
    recipe: Recipe = Recipe()
    craft: Craft = Craft()
    """Rules and other fields that hold for every trial, without a target or an algorithm."""
    algorithms: Annotated[tuple[_Name, ...], Field(min_length=1), AtMost(16)] = ("regular",)
    """Crafting algorithms to choose among; the comparison is made with the one that was chosen."""
    group_outputs: Annotated[tuple[GroupSize, ...], Field(min_length=1), AtMost(16)] = (1,)
    """Values of craft.group_outputs to choose among; a layer takes the nearest that divides it."""
    widths: Annotated[tuple[_Width, ...], Field(min_length=1), AtMost(16)] = (1.0,)
    """Shares of the channels kept to choose among, for all layers that can lose some."""
    choose: Annotated[
        dict[
            Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]\w*$")],
            Annotated[tuple[Argument, ...], Field(min_length=1), AtMost(16)],
        ],
        AtMost(8),
    ] = Field(default_factory=dict)
    """Values of the network's arguments to choose among, such as its width and depth."""
    objectives: Annotated[
        tuple[Literal["accuracy", "weights", "flops", "ms"], ...], Field(min_length=1), AtMost(4)
    ] = ("accuracy",)
    """Accuracy alone, or with what shall be small at the same accuracy: a Pareto front."""
    entropy: Annotated[float, Field(allow_inf_nan=False, strict=True)] = 0.0
    """λ of the objective accuracy + λ · entropy gap, the gap in nats a layer: below 0, graphs of
    more entropy are preferred."""
    sampler: Literal["tpe", "nsga2"] = "tpe"
    """Optuna's sampler that proposes trials."""
    stopping: Literal["none", "median", "hyperband"] = "none"
    """Optuna's pruner that ends trials early."""
    generation: Annotated[int, Field(ge=2, le=1000, strict=True), WHOLE] = 10
    """Trials proposed at a time, which know the results of earlier ones; so many can run beside
    each other."""
    start: Annotated[tuple[_Name, ...], AtMost(len(ALLOCATIONS))] = ALLOCATIONS
    """Ways to share the budget that the first trials take."""
    pool: Annotated[int, Field(ge=1, le=1000, strict=True), WHOLE] = 10
    """Random configurations drawn for each that is left of the first generation; proxies choose."""
    runs: Annotated[int, Field(ge=1, le=100, strict=True), WHOLE] = 1
    """Seeds a trial is trained with; its accuracy is their mean."""
    validation: HeldShare = 0.2
    """Share of the training images that trials are tested with."""
    finalists: Annotated[int, Field(ge=0, le=100, strict=True), WHOLE] = 6
    """Best trials that are trained again before one is chosen, on the same images with fresh seeds
    and graphs; with one objective, the usual ways it started with besides. 0 takes the best trial
    at its word."""
    finalist_runs: Annotated[int, Field(ge=1, le=100, strict=True), WHOLE] = 4
    """Fresh seeds of each finalist."""
    finals: Annotated[int, Field(ge=0, le=100, strict=True), WHOLE] = 20
    """Fresh seeds that what was found, and each usual way, are trained with at the end."""
    seed: Seed = 0
    """Decides first weights, graphs and proposals."""

    @field_validator("algorithms")
    @classmethod
    def _algorithms_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check_name(name, ALGORITHMS, "algorithm", InvalidSpec, pointer="/algorithms")
            if ALGORITHMS[name].contract not in _ANY_EDGES:
                raise InvalidInput(
                    f"algorithm {name!r} has no graph of just any number of edges, so it cannot "
                    f"meet a budget: search among others",
                    pointer="/algorithms",
                )
        return names

    @field_validator("start")
    @classmethod
    def _allocations_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check_name(name, ALLOCATIONS, "allocation", InvalidInput, pointer="/start")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        told = [name for name in (*TARGETS, "allocation") if getattr(self.craft, name) is not None]
        told += ["algorithm"] if self.craft.algorithm is not None else []
        told += ["group_outputs"] if self.craft.group_outputs > 1 else []
        if told:
            raise InvalidInput(
                f"craft has {listed(told)}, which the search decides: leave it out",
                pointer=f"/craft/{told[0]}",
            )
        if self.networks > MAX_NETWORKS:
            raise InvalidInput(
                f"choose and widths name {self.networks} networks, each of which is trained dense "
                f"first; give {MAX_NETWORKS} at most",
                pointer="/choose",
            )
        if both := sorted(self.choose.keys() & self.arguments.keys()):
            raise InvalidInput(
                f"argument {both[0]!r} is given and shall be chosen: leave it out of one",
                pointer=f"/choose/{both[0]}",
            )
        if self.objectives[0] != "accuracy" or len({*self.objectives}) < len(self.objectives):
            raise InvalidInput(
                "objectives begin with accuracy and name each once", pointer="/objectives"
            )
        if len(self.objectives) > 1 and self.stopping != "none":
            raise InvalidInput(
                f"stopping {self.stopping!r} compares trials by one objective, not "
                f"{len(self.objectives)}: leave it out",
                pointer="/stopping",
            )
        if self.recipe.dynamics is not None:
            raise InvalidInput(
                "dynamics change masks while a network is trained, so the shares that are searched "
                "would not be kept: leave them out",
                pointer="/recipe/dynamics",
            )
        return self

    @property
    def networks(self) -> int:
        """Networks to choose among."""
        count = len(self.widths)
        for values in self.choose.values():
            count *= len(values)
        return count

    @property
    def algorithm(self) -> str:
        """The sampler."""
        return self.sampler

    @property
    def total(self) -> int:
        """Trainings, at most: of dense networks, trials, finalists, and of what is compared."""
        again = (self.finalists + len(self.start)) * self.finalist_runs if self.finalists else 0
        return self.networks + self.trials + again + self.finals * (1 + len(BASELINES))

    @property
    def revisions(self) -> list[Any]:
        """Of the search, of training and of the algorithms."""
        crafting = [ALGORITHMS[name].revision for name in self.algorithms]
        return [REVISION, *self.recipe.revisions, *crafting]
