"""``raiw search`` on real processes: here and on a server, killed and started again."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest

from raiw.client import Job
from raiw.jobs.search import SearchJob
from raiw.masks import load
from service.settings import Settings
from tests.integration.stack import Stack
from tests.integration.stack import eventually as soon

SEARCH = {
    "network": "digits-cnn",
    "data": "digits",
    "budget": {"parameters": 4000},
    "trials": 2,
    "generation": 2,
    "start": ["erk"],
    "pool": 2,
    "finalists": 0,
    "finals": 0,
    "recipe": {"epochs": 1, "batch": 32, "augment": False},
}
COMMAND = [
    *(sys.executable, "-m", "raiw", "search", "digits-cnn", "--data", "digits", "--json"),
    *("--budget", "parameters=4000", "--trials", "3", "--generation", "2", "--start", "erk"),
    *("--pool", "2", "--finalists", "1", "--finalist-runs", "1", "--finals", "0"),
    *("--set", "epochs=1", "--set", "batch=32", "--set", "augment=false"),
]
DENSE, TRIALS, FINALISTS, FINALS = 1, 3, 2, 5
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}
WORKER = {"RAIW_TASK_THREADS": "1", "RAIW_LEASE_SECONDS": "20"}
"""It keeps its jobs on a machine that stands still for some seconds."""
PATIENCE = 1200
"""Seconds after which something hangs; a busy machine takes minutes."""
eventually = partial(soon, seconds=PATIENCE, pause=0.2)


def start(folder: Path, *where: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *where, "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=PLAIN,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finish(folder: Path, *where: str) -> dict[str, Any]:
    process = start(folder, *where)
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert json.loads(out) == json.loads((folder / "search.json").read_text())
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search by one process, undisturbed."""
    folder = tmp_path_factory.mktemp("search")
    finish(folder, "--jobs", "1", "--finals", "1")
    return folder


def found(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "search.json").read_text())
    return report


def same(report: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the same was tried with the same results, and the same found."""
    return all(report[name] == other[name] for name in ("trials", "found", "spec"))


def opened(url: str, name: str | None = None) -> list[optuna.trial.FrozenTrial]:
    """Open a study with Optuna itself, as its dashboard does."""
    storage = optuna.storages.RDBStorage(url)
    try:
        return optuna.load_study(study_name=name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def told(trials: list[optuna.trial.FrozenTrial]) -> list[Any]:
    return [(trial.number, trial.values) for trial in trials]


def test_a_search_leaves_a_spec_masks_a_study_and_an_account(alone: Path) -> None:
    report = found(alone)
    assert [trial["origin"] for trial in report["trials"]] == ["erk", "pool", "tpe"]
    assert {trial["weights"] for trial in report["trials"]} == {4000}
    assert load(alone / "masks.safetensors").weights == 4000
    expected = [(trial["number"], trial["values"]) for trial in report["trials"]]
    assert told(opened(f"sqlite:///{alone / 'optuna.sqlite'}")) == expected
    rows = report["comparison"]["rows"]
    assert [row["name"] for row in rows] == ["found", "uniform", "erk", "degree", "global"]
    assert {row["weights"] for row in rows} == {4000}
    assert "not to be told from" in (alone / "search.md").read_text()
    done = len(list(alone.glob("runs/*/answer.json")))
    assert done <= DENSE + TRIALS + FINALISTS + FINALS


def test_two_at_a_time_and_killed_it_comes_to_the_same(alone: Path, tmp_path: Path) -> None:
    killed = start(tmp_path, "--jobs", "2")
    eventually(lambda: len(list(tmp_path.glob("runs/*/answer.json"))) > DENSE)
    kill(killed)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/answer.json")}
    assert same(finish(tmp_path, "--jobs", "2"), found(alone))
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert told(opened(f"sqlite:///{tmp_path / 'optuna.sqlite'}")) == told(
        opened(f"sqlite:///{alone / 'optuna.sqlite'}")
    )


def ask(stack: Stack, **changes: Any) -> Job:
    return stack.client.submit(SearchJob.parse(SEARCH | changes))


def trainings(stack: Stack, job: Job) -> list[dict[str, Any]]:
    return [each.view for each in stack.client.jobs(metadata={"search": job.id})]


def are(stack: Stack, job: Job, status: str) -> bool:
    return any(view["status"] == status for view in trainings(stack, job))


def study_url(stack: Stack) -> str:
    settings = Settings(database_url=stack.database.url, state_dir=stack.folder / "state")
    url, schema = settings.studies
    return f"{url}?options=-csearch_path%3D{schema}" if schema else url


@pytest.mark.parametrize("deployment", ["postgres"], indirect=True)
def test_two_workers_train_the_trials_that_one_process_trains(
    idle_stack: Stack, alone: Path
) -> None:
    idle_stack.start_worker(**WORKER)
    idle_stack.start_worker(**WORKER)
    job = ask(idle_stack).wait()
    mine = told(opened(f"sqlite:///{alone / 'optuna.sqlite'}"))[:2]
    assert told(opened(study_url(idle_stack), job.id)) == mine
    views = trainings(idle_stack, job)
    assert {view["status"] for view in views} == {"succeeded"}
    assert len(views) == len({view["content_key"] for view in views}) <= DENSE + 2
    assert ask(idle_stack).id == job.id


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_search_outlives_its_client_its_worker_and_the_service(
    idle_stack: Stack, alone: Path, tmp_path: Path
) -> None:
    before = {each.id for each in idle_stack.client.jobs(kind="search")}
    worker = idle_stack.start_worker(**WORKER)
    client = start(tmp_path, "--server", idle_stack.url)
    job = eventually(lambda: next(idle_stack.client.jobs("running", kind="search"), None))
    eventually(lambda: are(idle_stack, job, "succeeded"))
    kill(client)
    worker.kill()
    idle_stack.workers.remove(worker)
    idle_stack.restart_api()
    idle_stack.start_worker(**WORKER)
    assert same(finish(tmp_path, "--server", idle_stack.url), found(alone))
    assert (tmp_path / "masks.safetensors").read_bytes() == (
        alone / "masks.safetensors"
    ).read_bytes()
    assert idle_stack.job(job.id)["attempt"] == 2
    assert {each.id for each in idle_stack.client.jobs(kind="search")} - before == {job.id}
    views = trainings(idle_stack, job)
    assert len(views) == len({view["content_key"] for view in views})
    assert len(views) <= DENSE + TRIALS + FINALISTS
    assert told(opened(study_url(idle_stack), job.id)) == told(
        opened(f"sqlite:///{alone / 'optuna.sqlite'}")
    )


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_a_canceled_search_takes_its_trials_with_it(idle_stack: Stack) -> None:
    idle_stack.start_worker(**WORKER)
    job = ask(idle_stack, seed=7)
    eventually(lambda: are(idle_stack, job, "running"))
    job.cancel()
    idle_stack.wait(job.id, "canceled")
    eventually(
        lambda: {view["status"] for view in trainings(idle_stack, job)} <= {"canceled", "succeeded"}
    )
