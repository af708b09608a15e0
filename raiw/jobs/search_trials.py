"""The configurations of a search as documents: each on the budget, as a job that trains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_file
from raiw.errors import CannotPrune, ImpossibleTarget, InvalidInput
from raiw.jobs.search import SearchJob
from raiw.jobs.search_networks import ALGORITHM, OUTPUTS, SearchedNetwork
from raiw.jobs.train import Floor, TrainJob
from raiw.masks import MaskSet
from raiw.pipeline import craft_masks
from raiw.searching.memory import Memory
from raiw.searching.projecting import Limit, ShareOut, cost_of, share_by
from raiw.searching.proxies import Signs, signs_of
from raiw.searching.space import Chosen
from raiw.searching.timing import Clock
from raiw.specs.plan import Plan
from raiw.specs.spec import Spec

WITHIN = 0.1
"""How near a measured time comes to a budget in milliseconds."""
START, COMPARED = "start", "comparison"
"""What a usual way can be left out of."""
_MOST_ROUNDS = 5
_LEAST_SLOPE = 0.25
"""Of the secant of a correction: noise shows less, and would make it boundless."""
_TYPICAL = {"density": 0.1, "allocation": "uniform"}
"""Target at which the time between layers is measured."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration on the budget."""

    network: SearchedNetwork
    values: Mapping[str, Any]
    """What was chosen, by name."""
    dense: Spec
    """Before it met the budget."""
    share: ShareOut
    part: float
    """Of the budget."""
    spec: Spec

    @property
    def plan(self) -> Plan:
        """Edges of every layer."""
        return self.spec.plan(scored=True)


class Trials:
    """What trials are trained as, and what is known of each beforehand."""

    def __init__(self, job: SearchJob, networks: Sequence[SearchedNetwork], memory: Memory) -> None:
        self._job = job
        self._networks = networks
        self._memory = memory
        self._weights: dict[str, Path] = {}
        self._between: dict[str, float] = {}
        timed = job.budget.ms is not None or "ms" in job.objectives
        self._clock = Clock(job.budget.batch) if timed else None
        self.files = {
            str(network.channels): network.narrowed for network in networks if network.narrowed
        }
        """What jobs name that was made here, by digest."""
        self.left_out: dict[str, dict[str, str]] = {START: {}, COMPARED: {}}
        """Why a usual way to share the budget was left out, by what of and by its name."""

    def learned(self, network: SearchedNetwork, weights: Path) -> None:
        """Note the weights of a network that was trained dense."""
        self._weights[network.label] = weights

    def configured(self, choice: Chosen) -> Configuration:
        """Return a choice on the budget.

        Raises
        ------
        ImpossibleTarget
            The network cannot meet it.
        """
        network = next(
            each
            for each in self._networks
            if all(choice.values[name] == value for name, value in each.values.items())
        )
        dense = network.spec(choice.values[ALGORITHM], choice.values[OUTPUTS])
        share = share_by(choice.slopes)
        return self._on_budget(network, choice.values, dense, share, choice.share)

    def slopes(self, network: SearchedNetwork, allocation: str) -> dict[str, float] | None:
        """Return the densities that a usual way gives layers; None where it cannot share."""
        dense = network.spec(self._job.algorithms[0], self._job.group_outputs[0])

        def shared() -> dict[str, float] | str:
            usual = self._usual(network, {}, dense, 1.0, allocation)
            if isinstance(usual, str):
                return usual
            return {layer.name: layer.density for layer in usual.plan.layers}

        known: dict[str, float] | str = self._memory.get(f"start {allocation}", shared)
        if isinstance(known, str):
            self.left_out[START][allocation] = known
            return None
        return known

    def usual(self, found: Configuration, allocation: str) -> Configuration | None:
        """Return what a usual way makes of the same network, algorithm and part of the budget."""
        usual = self._usual(found.network, found.values, found.dense, found.part, allocation)
        if isinstance(usual, str):
            self.left_out[COMPARED][allocation] = usual
            return None
        return usual

    def job(self, one: Configuration, floors: Sequence[Sequence[float]]) -> TrainJob:
        """Return the job of a trial."""
        seeds = range(self._job.seed, self._job.seed + self._job.runs)
        told = [Floor(epoch=int(epoch), accuracy=accuracy) for epoch, accuracy in floors]
        return self._train(one, one.spec, [*seeds]).model_copy(
            update={"floors": tuple(told), "validation": self._job.validation}
        )

    def again(self, one: Configuration, place: int) -> TrainJob:
        """Return the job of a further run on the images of trials, with a fresh seed and graph."""
        job = self._fresh(one, self._job.seed + self._job.runs + place)
        return job.model_copy(update={"validation": self._job.validation})

    @property
    def last_seeds(self) -> list[int]:
        """Seeds that no trial and no finalist has had."""
        first = self._job.seed + self._job.runs + self._job.finalist_runs
        return [*range(first, first + self._job.finals)]

    def final(self, one: Configuration, seed: int) -> TrainJob:
        """Return the job of a run with all training images, whose graph its seed draws."""
        return self._fresh(one, seed)

    def importance(self, one: Configuration) -> Path | None:
        """Return the scores that a configuration is crafted from, if its algorithm takes any."""
        uses = ALGORITHMS[str(one.spec.craft.algorithm)].scores
        return None if uses == "ignored" else self._scores(one.network)

    def masks(self, one: Configuration) -> MaskSet:
        """Return the masks that the search's seed draws."""
        return craft_masks(one.spec, self.importance(one))

    def signs(self, one: Configuration) -> Signs:
        """Return the proxies of a configuration."""

        def measured() -> Signs:
            weights = self._weights[one.network.label]
            scores = one.network.score_arrays(weights)
            return signs_of(one.network.model, self.masks(one), scores, one.network.data.shape)

        known: Signs = self._memory.get(f"signs {self.job(one, []).content_key()}", measured)
        return known

    def cost(self, one: Configuration) -> dict[str, Any]:
        """Return what a configuration costs."""
        timed = {} if self._clock is None else {"ms": self._ms(one.network, one.plan)}
        return cost_of(one.plan) | timed

    def settled(self, found: Configuration) -> tuple[Configuration, dict[str, Any] | None]:
        """Return what was found as it meets a budget in milliseconds, and how it was measured.

        Where a measurement is farther from the budget than :data:`WITHIN`, the time between layers
        is corrected, and the budget met anew; as far as a network can, on a machine that is busy.
        """
        if self._job.budget.ms is None:
            return found, None
        limit, label = self._job.budget.ms * found.part, found.network.label
        tried: list[tuple[float, float]] = []
        for attempt in range(_MOST_ROUNDS):
            measured = self._measured(found, f"measured {attempt}")["ms"]
            if abs(measured / limit - 1) <= WITHIN or (measured < limit and _is_dense(found)):
                break
            tried.append((self._between[label], measured - limit))
            self._between[label] = _corrected(tried)
            try:
                found = self._on_budget(
                    found.network, found.values, found.dense, found.share, found.part
                )
            except ImpossibleTarget:
                self._between[label] = tried[-1][0]
                break
        predicted = self._ms(found.network, found.plan)
        fresh = self._measured(found, "verdict")
        return found, {"limit_ms": limit, "predicted_ms": predicted, **fresh}

    def _measured(self, one: Configuration, key: str) -> dict[str, Any]:
        clock, network = self._clock, one.network
        assert clock is not None  # noqa: S101 -- there is a budget in ms
        found: dict[str, Any] = self._memory.get(
            key, lambda: clock.measure(network.model, self.masks(one), network.data.shape)
        )
        return found

    def _usual(
        self,
        network: SearchedNetwork,
        values: Mapping[str, Any],
        dense: Spec,
        part: float,
        allocation: str,
    ) -> Configuration | str:
        """Return a usual way on the budget, or why it cannot share it."""
        share = network.share(allocation, self._weights[network.label])
        try:
            return self._on_budget(network, values, dense, share, part)
        except (InvalidInput, CannotPrune) as error:
            return error.message

    def _on_budget(
        self,
        network: SearchedNetwork,
        values: Mapping[str, Any],
        dense: Spec,
        share: ShareOut,
        part: float,
    ) -> Configuration:
        unit, amount = self._job.budget.limit
        limit = Limit(unit, part * amount, lambda plan: self._ms(network, plan))
        return Configuration(network, values, dense, share, part, limit.project(dense, share))

    def _ms(self, network: SearchedNetwork, plan: Plan) -> float:
        assert self._clock is not None  # noqa: S101 -- asked only where there is one
        layers = self._clock.layers_ms(plan)
        if network.label not in self._between:
            self._between[network.label] = self._memory.get(
                f"between {network.label}", lambda: self._time_between(network)
            )
        return layers + self._between[network.label]

    def _time_between(self, network: SearchedNetwork) -> float:
        clock = self._clock
        assert clock is not None  # noqa: S101 -- as above
        document = network.spec("regular", self._job.group_outputs[0]).canonical()
        spec = Spec.parse(document | {"craft": document["craft"] | _TYPICAL})
        found = clock.measure(network.model, craft_masks(spec), network.data.shape)
        return float(found["ms"]) - clock.layers_ms(spec.plan())

    def _scores(self, network: SearchedNetwork) -> Path:
        path = network.scores(self._weights[network.label])
        self.files[digest_of_file(path)] = path
        return path

    def _fresh(self, one: Configuration, seed: int) -> TrainJob:
        craft = one.spec.craft.model_copy(update={"seed": seed})
        return self._train(one, one.spec.model_copy(update={"craft": craft}), [seed])

    def _train(self, one: Configuration, spec: Spec, seeds: Sequence[int]) -> TrainJob:
        importance = self.importance(one)
        return TrainJob.parse(
            {
                **one.network.fields,
                "spec": spec,
                "importance": None if importance is None else digest_of_file(importance),
                "data": self._job.data,
                "recipe": self._job.recipe,
                "seeds": tuple(seeds),
            }
        )


def _corrected(tried: Sequence[tuple[float, float]]) -> float:
    """Return the time between layers that meets a budget, given those tried and their excess.

    A longer one leaves the layers less time: as much less, until two are known, whose secant tells.
    """
    between, excess = tried[-1]
    slope = -1.0
    if len(tried) > 1:
        before, earlier = tried[-2]
        slope = (excess - earlier) / (between - before) if between != before else slope
    return between + excess / max(-slope, _LEAST_SLOPE)


def _is_dense(one: Configuration) -> bool:
    return all(layer.dense for layer in one.plan.layers)
