"""Searching for a sparse configuration: each trial is a job, and this asks for them.

A run goes as far as the answers that it has: it replays the trials that were trained, proposes the
next generation, and returns which jobs it needs. With all answers it returns the result. So it may
be killed at any time, and every trial counts once.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial, Trial

from raiw.errors import ImpossibleTarget, TrainingFailed
from raiw.jobs.document import JobDocument
from raiw.jobs.search import BASELINES, SearchJob
from raiw.jobs.search_networks import ALGORITHM, OUTPUTS, WIDTH, networks_of
from raiw.jobs.search_trials import Configuration, Trials
from raiw.jobs.workspace import JobAnswer, Made, Needed, Workspace, write_report
from raiw.searching.agreement import agreement
from raiw.searching.comparing import FOUND, compare
from raiw.searching.memory import Memory
from raiw.searching.proposing import Proposals, Proposing, facts_of
from raiw.searching.proxies import PROXIES, order
from raiw.searching.space import Proposed, Space
from raiw.training.data.validation import held_back


class _Waiting(Exception):
    """Jobs have no answer yet."""

    def __init__(self, jobs: Sequence[JobDocument]) -> None:
        super().__init__()
        self.jobs = tuple(jobs)


def run(job: SearchJob, space: Workspace) -> Made | Needed:
    """Go on with a search; return what it has made, or the jobs that it needs for more."""
    space.folder.mkdir(parents=True, exist_ok=True)
    memory = Memory(space.folder / "memory.json")
    search = _Search(job, space, memory)
    try:
        return search.made()
    except _Waiting as waiting:
        return Needed(waiting.jobs, search.trials.files)
    finally:
        memory.save()


class _Search:
    """A search with the answers so far."""

    def __init__(self, job: SearchJob, space: Workspace, memory: Memory) -> None:
        self.job = job
        self._space = space
        self._memory = memory
        self._data = held_back(space.dataset(job.data), job.validation)
        self.networks = networks_of(job, space, self._data)
        self.trials = Trials(job, self.networks, memory)
        layers = dict.fromkeys(name for each in self.networks for name in each.open_layers)
        choices = {**job.choose, WIDTH: job.widths}
        choices |= {ALGORITHM: job.algorithms, OUTPUTS: job.group_outputs}
        self.space = Space(choices, [*layers], shared=len(job.objectives) > 1)
        self.proposals = Proposals(
            f"{job.network} {job.content_key()[7:23]}",
            Proposing(
                sampler=job.sampler,
                stopping=job.stopping,
                objectives=len(job.objectives),
                generation=job.generation,
                seed=job.seed,
                epochs=job.recipe.epochs,
                images=len(self._data.test.labels),
            ),
            self.space.distributions,
        )
        self._origins: list[str] = []
        self._told: list[dict[str, Any]] = []

    def made(self) -> Made:
        """Return the result, once every job that it takes is answered."""
        self._learn_of_dense()
        self._start()
        while (left := self.job.trials - len(self.proposals.trials)) > 0:
            self._generation(min(left, self.job.generation))
        best = self.proposals.best
        if not best:
            reason = next((facts["note"] for facts in self._told if "note" in facts), "stopped")
            raise TrainingFailed(f"no trial has a result; the first: {reason}")
        winner = self._chosen(best)
        found = self.trials.configured(self.space.choice(winner.params))
        found, speed = self.trials.settled(found)
        comparison = self._compared(found)
        report = {
            **self._asked(),
            "trials": self._told,
            "front": [trial.number for trial in best],
            "found": winner.number,
            "arguments": {**found.network.network.arguments},
            "width": found.values[WIDTH],
            "spec": found.spec.canonical(),
            "cost": self.trials.cost(found),
            "speed": speed,
            "agreement": self._agreement(),
            "left_out": self.trials.left_out,
            "comparison": comparison,
        }
        return self._written(found, report)

    def _chosen(self, best: Sequence[FrozenTrial]) -> FrozenTrial:
        """Return the finalist of the best mean over fresh runs, the first one among equals.

        The best of many trials is the luckiest too: its own accuracy is not counted.
        """
        complete = [self._told[t.number] for t in self.proposals.trials if self._is_complete(t)]
        if len(self.job.objectives) > 1:
            numbers = {trial.number for trial in best}
            complete = [facts for facts in complete if facts["number"] in numbers]
        ranked = sorted(complete, key=lambda facts: (-facts["values"][0], facts["number"]))
        chosen = ranked[: max(self.job.finalists, 1)]
        if self.job.finalists and len(self.job.objectives) == 1:
            usual = [facts for facts in ranked if facts["origin"] in self.job.start]
            chosen += [facts for facts in usual if facts not in chosen]
        if self.job.finalists:
            self._train_again(chosen)
            chosen.sort(key=self._again, reverse=True)
        number: int = chosen[0]["number"]
        return self.proposals.trials[number]

    def _train_again(self, chosen: Sequence[dict[str, Any]]) -> None:
        runs = range(self.job.finalist_runs)
        trials = [self.proposals.trials[facts["number"]] for facts in chosen]
        ones = [self.trials.configured(self.space.choice(trial.params)) for trial in trials]
        answers = iter(self._answers([self.trials.again(one, run) for one in ones for run in runs]))
        for facts in chosen:
            reports = [next(answers).report for _ in runs]
            facts["again"] = [report["accuracy"] for report in reports if report]

    def _again(self, facts: dict[str, Any]) -> float:
        mean = statistics.fmean(facts["again"]) if facts["again"] else 0.0
        return mean - self.job.entropy * float(facts["signs"]["entropy"])

    def _is_complete(self, trial: FrozenTrial) -> bool:
        return bool(self._told[trial.number]["state"] == "complete")

    def _answers(self, jobs: Sequence[JobDocument]) -> list[JobAnswer]:
        """Return the answers of jobs.

        Raises
        ------
        _Waiting
            Some have none.
        """
        known = self._space.answers
        keys = [job.content_key() for job in jobs]
        missing = [job for job, key in zip(jobs, keys, strict=True) if key not in known]
        if missing:
            raise _Waiting(missing)
        return [known[key] for key in keys]

    def _learn_of_dense(self) -> None:
        seed = self.job.seed
        for network, answer in zip(
            self.networks, self._answers([each.dense for each in self.networks]), strict=True
        ):
            if answer.report is None:
                raise TrainingFailed(f"the dense network has no result: {_reason(answer)}")
            self.trials.learned(network, answer.files[f"weights-seed-{seed}"])

    def _start(self) -> None:
        """Propose the usual ways to share the budget, then what proxies choose of a pool."""
        first = self.networks[0]
        for name in self.job.start:
            slopes = self.trials.slopes(first, name)
            if slopes is not None:
                self._propose(self.space.parameters(self._first_choices, slopes), name)
        left = min(self.job.generation, self.job.trials) - len(self._origins)
        if left <= 0:
            return
        pool = self.space.drawn(self.job.seed, left * self.job.pool)
        for place in self._memory.get("pool", lambda: self._ranked(pool))[:left]:
            self._propose(pool[place], "pool")

    @property
    def _first_choices(self) -> dict[str, Any]:
        return {name: values[0] for name, values in self.space.choices.items()}

    def _ranked(self, pool: list[Proposed]) -> list[int]:
        """Return the places of a pool that can meet the budget, by their proxies."""
        signs, places = [], []
        for place, parameters in enumerate(pool):
            one = self._configured(parameters)
            if isinstance(one, Configuration):
                signs.append(self.trials.signs(one))
                places.append(place)
        return [places[rank] for rank in order(signs)] if signs else []

    def _propose(self, parameters: Proposed, origin: str) -> None:
        self.proposals.start_with(parameters)
        self._origins.append(origin)

    def _generation(self, count: int) -> None:
        """Propose so many trials, wait for all, and tell them in their order."""
        asked = self.proposals.ask(count)
        proposed = [(trial, self._configured(trial.params)) for trial in asked]
        jobs = [
            self.trials.job(one, self._floors(trial))
            for trial, one in proposed
            if isinstance(one, Configuration)
        ]
        answers = iter(self._answers(jobs))
        for trial, one in proposed:
            if isinstance(one, Configuration):
                self._tell(trial, self._outcome(one, next(answers)))
            else:
                self._tell(trial, {"note": one.message})
        self._space.on_study(self._study())

    def _configured(self, parameters: Proposed) -> Configuration | ImpossibleTarget:
        try:
            return self.trials.configured(self.space.choice(parameters))
        except ImpossibleTarget as error:
            return error

    def _floors(self, trial: Trial) -> list[list[float]]:
        found = self._memory.get(
            f"floors {trial.number}", lambda: [[*floor] for floor in self.proposals.floors(trial)]
        )
        return list(found)

    def _outcome(self, one: Configuration, answer: JobAnswer) -> dict[str, Any]:
        """Return what is known of a trial, with its objectives and its accuracy by epoch."""
        facts = self.trials.cost(one) | {
            "edges": {layer.name: layer.edges for layer in one.plan.layers},
            "signs": self.trials.signs(one),
        }
        if answer.report is None:
            return facts | {"note": _reason(answer)}
        accuracy = answer.report["accuracy"]
        objective = accuracy - self.job.entropy * facts["signs"]["entropy"]
        by_seed = zip(*answer.report["accuracies"], strict=False)
        return facts | {
            "accuracy": accuracy,
            "values": [objective, *(float(facts[name]) for name in self.job.objectives[1:])],
            "curve": [statistics.fmean(epoch) for epoch in by_seed],
        }

    def _tell(self, trial: Trial, facts: dict[str, Any]) -> None:
        number = trial.number
        values, curve = facts.get("values"), facts.get("curve", [])
        stopped = len(curve) < self.job.recipe.epochs
        self._told.append(
            {
                "number": number,
                "origin": self._origins[number]
                if number < len(self._origins)
                else self.job.sampler,
                "choices": dict(self.space.choice(trial.params).values),
                "state": "failed" if values is None else "stopped" if stopped else "complete",
                **facts,
            }
        )
        self.proposals.tell(trial, values, curve, facts.get("note", ""))

    def _study(self) -> dict[str, Any]:
        return {
            "name": self.proposals.name,
            "directions": [*self.proposals.directions],
            "metrics": [*self.job.objectives],
            "trials": [facts_of(trial) for trial in self.proposals.trials],
        }

    def _compared(self, found: Configuration) -> dict[str, Any] | None:
        """Train what was found and the usual ways on every training image, and compare them."""
        seeds = self.trials.last_seeds
        if not seeds:
            return None
        named = {FOUND: found} | {
            name: usual for name in BASELINES if (usual := self.trials.usual(found, name))
        }
        jobs = [self.trials.final(one, seed) for one in named.values() for seed in seeds]
        reports = iter([answer.report for answer in self._answers(jobs)])
        accuracies = {
            name: {seed: report["accuracy"] for seed in seeds if (report := next(reports))}
            for name in named
        }
        if not accuracies[FOUND]:
            raise TrainingFailed("what was found could not be trained with any of the last seeds")
        rows = [row | self.trials.cost(named[row["name"]]) for row in compare(accuracies)]
        runs = {name: [own.get(seed) for seed in seeds] for name, own in accuracies.items()}
        return {"seeds": seeds, "rows": rows, "runs": runs}

    def _agreement(self) -> dict[str, Any]:
        done = [facts for facts in self._told if facts["state"] == "complete"]
        accuracies = [facts["accuracy"] for facts in done]
        return {
            name: asdict(agreement([facts["signs"][name] for facts in done], accuracies))
            for name in PROXIES
        }

    def _asked(self) -> dict[str, Any]:
        unit, amount = self.job.budget.limit
        return {
            "network": self.job.network,
            "data": self.job.data,
            "budget": {unit: amount},
            "objectives": [*self.job.objectives],
            "entropy": self.job.entropy,
            "sampler": self.job.sampler,
            "stopping": self.job.stopping,
            "epochs": self.job.recipe.epochs,
            "seed": self.job.seed,
            "validation_images": len(self._data.test.labels),
            "test_images": len(self._space.dataset(self.job.data).test.labels),
        }

    def _written(self, found: Configuration, report: dict[str, Any]) -> Made:
        files = {"search": self._space.output("search"), "masks": self._space.output("masks")}
        self.trials.masks(found).save(files["masks"])
        write_report(files["search"], report)
        return Made(files, report)


def _reason(answer: JobAnswer) -> str:
    return str((answer.problem or {}).get("detail", "it failed"))
