"""A search in one process, its trials trained by the very runs that workers use."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raiw.errors import TrainingFailed
from raiw.jobs.registry import find_kind
from raiw.jobs.run_search import run
from raiw.jobs.search import SearchJob
from raiw.jobs.train import TrainJob
from raiw.jobs.workspace import JobAnswer, Made, Needed, Workspace
from raiw.masks import MaskSet
from raiw.searching.report import markdown
from raiw.specs.plan import Plan

ASKED = {
    "network": "tests.unit.searching.linear:net",
    "data": "digits",
    "budget": {"parameters": 200},
    "trials": 6,
    "generation": 3,
    "start": ["erk"],
    "pool": 2,
    "finalists": 2,
    "finalist_runs": 2,
    "finals": 2,
    "recipe": {"epochs": 2, "augment": False},
}


class Search:
    """A search that is run to its end, and what it asked for."""

    def __init__(
        self, folder: Path, changes: dict[str, Any], answers: dict[str, JobAnswer]
    ) -> None:
        self.job = SearchJob.parse(ASKED | changes)
        self.answers = answers
        """Of earlier searches too, by content key."""
        self.rounds: list[list[TrainJob]] = []
        self.studies: list[dict[str, Any]] = []
        self.space = Workspace(
            folder=folder / "work",
            data_dir=folder,
            files={},
            outputs={"masks": folder / "masks.safetensors", "search": folder / "search"},
            phase="searching",
            on_progress=lambda *_, **__: None,
            on_study=self.studies.append,
            log=lambda _: None,
        )

    def report(self) -> dict[str, Any]:
        while isinstance(made := self._made(), Needed):
            self.rounds.append([*made.jobs])
            for job in made.jobs:
                self._train(job, {**made.files})
        return made.report

    def _made(self) -> Made | Needed:
        return run(self.job, replace(self.space, answers=self.answers))

    def _train(self, job: Any, files: dict[str, Path]) -> None:
        kind, key = find_kind(job.kind), job.content_key()
        if key not in self.answers:
            folder = self.space.folder.parent / "runs" / key[7:23]
            folder.mkdir(parents=True, exist_ok=True)
            made = kind.load()(job, replace(self.space, folder=folder, files=files, outputs={}))
            assert isinstance(made, Made)
            self.answers[key] = JobAnswer(made.report, made.files)


@pytest.fixture(scope="module")
def answers() -> dict[str, JobAnswer]:
    """What searches of this module have trained, which they need not train again."""
    return {}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def searched(tmp_path: Path, answers: dict[str, JobAnswer]) -> Any:
    def search(**changes: Any) -> Search:
        return Search(tmp_path, changes, answers)

    return search


def test_each_trial_is_asked_for_once_and_seeds_are_fresh(searched: Any) -> None:
    search = searched()
    report = search.report()
    dense, *trials, again, finals = search.rounds
    assert [len(jobs) for jobs in search.rounds] == [1, 3, 3, len(again), 10]
    assert len(again) in {4, 6}  # two finalists, and erk where it is none of them
    asked = [dense[0], *trials[0], *trials[1], *again]  # of the finals, two may be one way
    keys = [job.content_key() for job in asked]
    assert len(keys) == len({*keys})
    seeds = [{seed for job in jobs for seed in job.seeds} for jobs in (dense, trials[0], again)]
    assert seeds == [{0}, {0}, {1, 2}]
    assert (
        {seed for job in finals for seed in job.seeds} == {3, 4} == {*report["comparison"]["seeds"]}
    )
    assert all(job.validation == 0.2 for job in asked)
    assert all(job.validation is None for job in finals)
    assert all(job.spec.craft.seed == job.seeds[0] for job in (*again, *finals))
    assert {trial["weights"] for trial in report["trials"]} == {200}
    assert [len(study["trials"]) for study in search.studies][-1] == 6


def test_what_is_found_is_the_finalist_of_the_best_mean(searched: Any) -> None:
    report = searched().report()
    means = {t["number"]: sum(t["again"]) / 2 for t in report["trials"] if "again" in t}
    assert means[report["found"]] == max(means.values())
    edges = report["trials"][report["found"]]["edges"]
    assert {rule["match"]: rule["edges"] for rule in report["spec"]["craft"]["rules"]} == edges
    taken = searched(finalists=0, finals=0).report()
    best = max(taken["trials"], key=lambda trial: (trial["accuracy"], -trial["number"]))
    assert taken["found"] == best["number"]
    assert taken["comparison"] is None


def test_a_way_that_cannot_share_is_named_with_its_reason_however_often_a_search_goes_on(
    searched: Any,
) -> None:
    line = ASKED["network"].replace("net", "line")
    report = searched(network=line, start=["entropic", "erk"], finalists=0, finals=0).report()
    assert "entropic" in report["left_out"]["start"]
    assert "`entropic` was left out of the start: " in markdown(report)
    assert {trial["origin"] for trial in report["trials"]} == {"erk", "pool", "tpe"}


def test_widths_and_arguments_are_chosen_whatever_they_are_called(searched: Any) -> None:
    search = searched(
        choose={"width": [8, 12], "algorithm": [1, 2]},
        widths=[0.5, 1.0],
        trials=8,
        generation=8,
        start=[],
        pool=1,
    )
    report = search.report()
    assert len(search.rounds[0]) == 8  # each network is trained dense
    chosen = [trial["choices"] for trial in report["trials"]]
    for name, values in (("width", {8, 12}), ("algorithm", {1, 2}), ("channels kept", {0.5, 1.0})):
        assert {each[name] for each in chosen} == values
    assert {each["craft.algorithm"] for each in chosen} == {"regular"}
    found = chosen[report["found"]]
    assert report["arguments"] == {"width": found["width"], "algorithm": found["algorithm"]}
    layers = report["spec"]["layers"]
    assert layers[0]["out_features"] == found["width"] * found["channels kept"]
    assert len(layers) == 1 + found["algorithm"]


def test_a_front_may_leave_a_part_of_the_budget(searched: Any) -> None:
    report = searched(objectives=["accuracy", "weights"], sampler="nsga2", finals=0).report()
    done = report["trials"]
    assert min(trial["weights"] for trial in done) < 200 >= max(t["weights"] for t in done)
    beaten = [
        one["number"]
        for one in done
        if any(
            two["accuracy"] >= one["accuracy"]
            and two["weights"] <= one["weights"]
            and (two["accuracy"], two["weights"]) != (one["accuracy"], one["weights"])
            for two in done
        )
    ]
    assert sorted(report["front"]) == [t["number"] for t in done if t["number"] not in beaten]
    assert report["found"] in report["front"]


def test_entropy_is_a_part_of_the_objective(searched: Any) -> None:
    report = searched(entropy=-2.0, finalists=0, finals=0).report()
    for trial in report["trials"]:
        gap = -trial["signs"]["entropy"]
        assert trial["values"] == [pytest.approx(trial["accuracy"] - 2.0 * gap)]


def test_trials_below_a_floor_are_stopped_and_win_nothing(searched: Any) -> None:
    report = searched(
        stopping="median", trials=9, finals=0, recipe={"epochs": 6, "augment": False}
    ).report()
    states = [trial["state"] for trial in report["trials"]]
    assert "stopped" in states[3:]
    assert "stopped" not in states[:3]
    assert report["trials"][report["found"]]["state"] == "complete"
    assert {len(t["curve"]) == 6 for t in report["trials"] if t["state"] == "complete"} == {True}


def test_without_a_budget_that_fits_no_trial_has_a_result(searched: Any) -> None:
    dense = {"rules": [{"match": "3", "dense": True}]}
    with pytest.raises(TrainingFailed, match=r"no trial has a result.*20 weights cannot be kept"):
        searched(craft=dense, budget={"parameters": 20}).report()


class SteadyClock:
    """A machine whose layers take twice what its table says, and 0.1 ms what lies between them."""

    fixed, slower = 0.1, 2.0

    def __init__(self, batch: int) -> None:
        self._batch = batch

    def layers_ms(self, plan: Plan) -> float:
        return 1e-3 * plan.weights

    def measure(self, model: Any, masks: MaskSet, shape: Any) -> dict[str, Any]:
        kept = sum(int(mask.numpy().sum()) for mask in masks.values())
        ms = self.fixed + self.slower * 1e-3 * kept
        return {"ms": ms, "dense_ms": 2.0, "batch": self._batch, "threads": 1}


def test_a_budget_in_ms_is_met_however_wrong_the_table_is(
    searched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raiw.jobs.search_trials.Clock", SteadyClock)
    report = searched(budget={"ms": 0.5}, trials=2, finalists=0, finals=0).report()
    assert report["speed"]["ms"] == pytest.approx(0.5, rel=0.1)
    assert "not met" not in markdown(report)


def test_a_budget_that_a_busy_machine_never_shows_met_is_said_to_be_so(
    searched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(SteadyClock):
        """Idle only while the time between layers is measured, the first of all."""

        idle = True

        def measure(self, model: Any, masks: MaskSet, shape: Any) -> dict[str, Any]:
            found = super().measure(model, masks, shape)
            idle, Busy.idle = Busy.idle, False
            return found if idle else found | {"ms": 9.0}

    monkeypatch.setattr("raiw.jobs.search_trials.Clock", Busy)
    report = searched(budget={"ms": 0.5}, trials=2, finalists=0, finals=0).report()
    assert report["speed"]["ms"] == 9.0
    assert "The budget is not met" in markdown(report)
