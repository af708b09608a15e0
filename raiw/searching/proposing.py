"""Trials proposed by Optuna, a generation at a time, so that seed and results alone decide them.

All trials of a generation are proposed before any of it is told, and all are told in order. So it
does not matter how many workers train them, which is ready first, or how often the search is
started again: from the same results, the same trials follow.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from raiw.searching.space import Proposed

optuna.logging.set_verbosity(optuna.logging.WARNING)

Sampler = Literal["tpe", "nsga2"]
Stopping = Literal["none", "median", "hyperband"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposing:
    """How trials are proposed, and stopped early."""

    sampler: Sampler
    stopping: Stopping
    objectives: int
    """The first is to be large, the others small."""
    generation: int
    """Trials proposed at a time."""
    seed: int
    epochs: int
    """Of a trial that is not stopped."""
    images: int
    """Images that an accuracy is a share of."""

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of the objectives, in Optuna's words."""
        small: list[Literal["maximize", "minimize"]] = ["minimize"] * (self.objectives - 1)
        return ["maximize", *small]

    def proposing(self, number: int) -> BaseSampler:
        """Return the sampler of one trial; its draws depend on seed and number alone."""
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "nsga2":
            return NSGAIISampler(population_size=self.generation, seed=seed)
        return TPESampler(n_startup_trials=self.generation, seed=seed)

    def pruner(self) -> BasePruner | None:
        """Return what stops trials early; None where nothing does."""
        if self.stopping == "median":
            return MedianPruner(n_startup_trials=min(5, self.generation))
        if self.stopping == "hyperband":
            return HyperbandPruner(max_resource=self.epochs)
        return None


class Proposals:
    """A study in memory: what was proposed, and what came of it."""

    def __init__(
        self, name: str, method: Proposing, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        self.name = name
        self._method = method
        self._distributions = dict(distributions)
        self._study = _study(name, method)

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of the objectives, in Optuna's words."""
        return self._method.directions

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials that were asked for."""
        every: list[FrozenTrial] = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if trial.state is not TrialState.WAITING]

    @property
    def best(self) -> list[FrozenTrial]:
        """The trials that no other beats: the Pareto front; one, the first, for one objective."""
        if not any(trial.state is TrialState.COMPLETE for trial in self.trials):
            return []
        found: list[FrozenTrial] = self._study.best_trials
        return found if self._method.objectives > 1 else found[:1]

    def start_with(self, parameters: Proposed) -> None:
        """Propose these before any others."""
        self._study.enqueue_trial(parameters)

    def ask(self, count: int) -> list[Trial]:
        """Return the next trials, the first generation from what the search was started with."""
        asked = []
        for _ in range(count):
            self._study.sampler = self._method.proposing(len(self.trials))
            asked.append(self._study.ask(self._distributions))
        return asked

    def tell(
        self, trial: Trial, values: Sequence[float] | None, curve: Sequence[float], note: str = ""
    ) -> None:
        """Record what came of a trial: its objectives and its accuracy by epoch.

        One without values has failed; with a curve shorter than all epochs it was stopped.
        """
        for epoch, accuracy in enumerate(curve, 1):
            if self._method.objectives == 1:
                trial.report(accuracy, epoch)
                trial.should_prune()  # which notes the rungs that it has climbed
        if note:
            trial.set_user_attr("failed", note)
        if values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        elif len(curve) < self._method.epochs:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, list(values))

    def floors(self, trial: Trial) -> list[tuple[int, float]]:
        """Return the least accuracy by epoch with which a trial goes on, from earlier generations.

        Of all accuracies that the images can give, it is the least with which Optuna's pruner does
        not stop a trial of this number, given the trials that were told; found by bisection, as
        pruners stop what is worse than something they let go on.
        """
        pruner = self._method.pruner()
        told = [one for one in self.trials if one.state.is_finished()]
        if pruner is None or not told:
            return []
        found, images = [], self._method.images
        for epoch in range(1, self._method.epochs):
            low, high = 0, images + 1
            while low < high:
                middle = (low + high) // 2 if low else 0  # most epochs have no floor
                if self._stops(pruner, told, trial.number, epoch, middle):
                    low = middle + 1
                else:
                    high = middle
            if 0 < low <= images:
                found.append((epoch, low / images))
        return found

    def _stops(
        self, pruner: BasePruner, told: list[FrozenTrial], number: int, epoch: int, right: int
    ) -> bool:
        """Return whether a trial of a number stops with so many images named rightly."""
        study = _study(self.name, self._method)
        study.add_trials(told)
        for _ in range(len(told), number):  # Hyperband goes by the number
            study.add_trial(create_trial(state=TrialState.FAIL))
        trial = study.ask()
        trial.report(right / self._method.images, epoch)
        return pruner.prune(study, study.get_trials(deepcopy=False)[-1])


def _study(name: str, method: Proposing) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(
            study_name=name,
            directions=method.directions,
            pruner=method.pruner() or optuna.pruners.NopPruner(),
        )


def facts_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial as JSON-serialisable values, all that :mod:`raiw.searching.kept` stores."""
    return {
        "number": trial.number,
        "state": trial.state.name,
        "params": dict(trial.params),
        "distributions": {
            name: optuna.distributions.distribution_to_json(distribution)
            for name, distribution in trial.distributions.items()
        },
        "values": None if trial.values is None else list(trial.values),
        "curve": {str(epoch): value for epoch, value in trial.intermediate_values.items()},
        "notes": dict(trial.user_attrs),
    }
