"""The process of a task and the worker that watches it, without a server or broker around them."""

import json
import os
import signal
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.numpy import save, save_file
from safetensors.torch import save_file as save_tensors
from sqlalchemy import text, update

from raiw.canonical import digest_of
from raiw.nets.registry import build
from raiw.training.checkpoint import FILE as CHECKPOINT
from service.contract.jobs import JobView
from service.contract.queries import JobQuery
from service.contract.requests import JobRequest
from service.jobs.cancel import cancel
from service.jobs.queries import get_job, list_events, list_jobs, open_request
from service.jobs.services import Services
from service.jobs.submit import submit
from service.jobs.uploads import put_blob
from service.settings import Settings
from service.store import database, migrate
from service.store.files.artifacts import Artifacts
from service.store.tables import MaskChunkRow
from tests.integration.pools import pool
from tests.integration.stack import eventually
from worker.runner import run_job

pytestmark = pytest.mark.usefixtures("forks")

RECIPE = {"epochs": 2, "batch": 64, "augment": False}
TRAINING = {"kind": "train", "network": "digits-cnn", "data": "digits", "recipe": RECIPE}
LONG = TRAINING | {"recipe": RECIPE | {"epochs": 500}}


def opened(folder: Path, **settings: Any) -> Services:
    chosen = Settings(
        state_dir=folder, min_free_bytes=0, task_threads=1, worker_concurrency=1, **settings
    )
    migrate.migrate(chosen)
    return Services.open(chosen)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    found = opened(tmp_path)
    yield found
    found.database.close()


def ask(services: Services, body: dict[str, Any]) -> str:
    request: Any = TypeAdapter(JobRequest).validate_python(body)
    return submit(services, request).job.id


def run(services: Services, job_id: str) -> JobView:
    run_job(pool(services), job_id)
    return get_job(services, job_id)


def uploaded(services: Services, data: bytes) -> str:
    digest = digest_of(data)
    put_blob(services, digest, len(data), [data])
    return digest


def told(services: Services, job_id: str) -> list[int]:
    events = list_events(services, job_id, after=0, limit=1000).items
    return [event.data["completed"] for event in events if event.event == "progress"]


class Watched:
    """A job that a worker runs in a thread."""

    def __init__(self, services: Services, body: dict[str, Any]) -> None:
        self.id = ask(services, body)
        self._services = services
        self._thread = threading.Thread(target=run_job, args=(pool(services), self.id))
        self._thread.start()
        eventually(lambda: told(services, self.id), 90)

    def ended(self) -> JobView:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return get_job(self._services, self.id)


def processes(services: Services) -> list[int]:
    """Return those that train, without the launcher."""
    folder = str(services.settings.artifacts)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word.startswith(folder) for word in words) and "torch.distributed.run" not in words:
            found.append(int(path.parent.name))
    return found


def test_canceled_at_the_last_moment_is_canceled(services: Services) -> None:
    class Canceling(Artifacts):
        def take(self, path: Path) -> str:
            cancel(services, job_id)
            return super().take(path)

    job_id = ask(services, TRAINING)
    run(replace(services, artifacts=Canceling(services.settings.artifacts)), job_id)
    assert get_job(services, job_id).status == "canceled"
    assert run(services, ask(services, TRAINING)).status == "succeeded"


def test_canceled_while_the_worker_ends_is_canceled_at_once(services: Services) -> None:
    def stopping() -> bool:
        cancel(services, job_id)
        return True

    job_id = ask(services, TRAINING)
    run_job(pool(services, stopping), job_id)
    assert get_job(services, job_id).status == "canceled"


def test_a_worker_that_ends_gives_its_job_back(services: Services) -> None:
    job_id = ask(services, TRAINING)
    run_job(pool(services, lambda: True), job_id)
    assert get_job(services, job_id).status == "queued"
    assert run(services, job_id).status == "succeeded"


def test_a_database_that_is_away_costs_a_training_nothing(tmp_path: Path) -> None:
    services = opened(tmp_path, database_lock_seconds=0.1)
    job = Watched(services, TRAINING | {"recipe": RECIPE | {"epochs": 8}})
    other = sqlite3.connect(tmp_path / "raiw.sqlite", isolation_level=None, timeout=10)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(2)
    other.execute("ROLLBACK")
    other.close()
    ended = job.ended()
    assert (ended.status, ended.attempt) == ("succeeded", 1), ended.error
    assert told(services, job.id) == list(range(1, 9))


def test_several_processes_end_with_their_job(tmp_path: Path) -> None:
    services = opened(tmp_path, task_processes=2)
    job = Watched(services, LONG)
    assert len(processes(services)) == 2
    cancel(services, job.id)
    assert job.ended().status == "canceled"
    eventually(lambda: not processes(services), 5)


def test_one_of_several_processes_is_killed(tmp_path: Path) -> None:
    """The job is lost, not failed, and the next attempt goes on."""
    services = opened(tmp_path, task_processes=2)
    job = Watched(services, LONG)
    os.kill(max(processes(services)), signal.SIGKILL)
    ended = job.ended()
    assert (ended.status, ended.error) == ("queued", None)
    eventually(lambda: not processes(services), 5)


def test_a_changed_data_set_is_learned_from_the_beginning(services: Services) -> None:
    services.settings.data.mkdir()
    file = services.settings.data / "mine.safetensors"
    body = LONG | {"data": "mine"}
    for number in (0, 1):
        save_file(images(64, seed=number), file)
        job = Watched(services, body)
        cancel(services, job.id)
        assert job.ended().status == "canceled"
        assert told(services, job.id)[0] == 1


def test_a_damaged_checkpoint_fails_once(services: Services) -> None:
    job = Watched(services, LONG)
    cancel(services, job.id)
    job.ended()
    (checkpoint,) = services.settings.artifacts.glob(f"runs/*/*/{CHECKPOINT}")
    checkpoint.write_bytes(b"")
    again = run(services, ask(services, LONG))
    assert again.error
    assert again.error["code"] == "invalid-tensors"
    assert "'seed-0-" in again.error["detail"]
    assert str(services.settings.state_dir) not in again.error["detail"]
    third = Watched(services, LONG)
    assert told(services, third.id)[0] == 1
    cancel(services, third.id)
    third.ended()


def test_uploads_are_named_by_their_digest(services: Services, tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "wrong")
    wrong = uploaded(services, (tmp_path / "wrong").read_bytes())
    score = {"kind": "score", "network": "digits-cnn", "weights": wrong, "data": "digits"}
    for body in (score, TRAINING | {"data": wrong}):
        error = run(services, ask(services, body)).error
        assert error
        assert wrong in error["detail"]
        assert str(tmp_path) not in error["detail"]


def test_a_data_set_that_is_missing_is_told_without_its_place(services: Services) -> None:
    error = run(services, ask(services, TRAINING | {"data": "cifar10"})).error
    assert error
    assert "'RAIW_DATA_DIR/cifar10'" in error["detail"]
    assert str(services.settings.state_dir) not in error["detail"]


def test_an_upload_that_this_worker_does_not_see_is_told(services: Services) -> None:
    data = uploaded(services, save(images(20)))
    job_id = ask(services, TRAINING | {"data": data})
    services.artifacts.delete(data)
    error = run(services, job_id).error
    assert error
    assert error["code"] == "not-found"
    assert "RAIW_ARTIFACT_DIR" in error["detail"]


def test_a_result_whose_files_are_lost_is_made_anew(services: Services) -> None:
    class Thieving(Artifacts):
        """A folder that loses every file before a row names it."""

        def take(self, path: Path) -> str:
            digest = super().take(path)
            self.delete(digest)
            return digest

    thieving = replace(services, artifacts=Thieving(services.settings.artifacts))
    job = run(thieving, ask(services, TRAINING))
    assert job.result
    assert services.artifacts.verified(job.result.digest)
    assert get_job(services, ask(services, TRAINING)).status == "succeeded"
    services.artifacts.delete(job.result.digest)
    again = ask(services, TRAINING)
    assert get_job(services, again).status == "queued"
    assert run(services, again).result == job.result
    assert services.artifacts.verified(job.result.digest)
    assert get_job(services, ask(services, TRAINING)).id == again


def test_masks_damaged_since_the_job_was_sent_are_told(services: Services) -> None:
    spec = {"model": "digits-cnn", "craft": {"density": 0.5}}
    crafting = run(services, ask(services, {"spec": spec}))
    assert crafting.result
    job_id = ask(services, TRAINING | {"masks": crafting.result.digest})
    with services.database.write() as session:
        session.execute(update(MaskChunkRow).values(data=b"x" * crafting.result.bytes))
    error = run(services, job_id).error
    assert error
    assert error["code"] == "damaged"
    assert crafting.result.digest in error["detail"]
    assert run(services, ask(services, {"spec": spec})).result == crafting.result


def test_what_a_task_made_is_private(services: Services) -> None:
    job = run(services, ask(services, TRAINING))
    assert job.result
    path = services.artifacts.path(job.result.digest)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(services.settings.artifacts.glob("runs/*"))


def test_weights_that_are_no_numbers_are_told(services: Services, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        state = build("digits-cnn").state_dict()
    state["conv2.weight"][0, 0, 0, 0] = torch.nan
    save_tensors(state, tmp_path / "nan")
    digest = uploaded(services, (tmp_path / "nan").read_bytes())
    body = {"kind": "prune", "network": "digits-cnn", "weights": digest, "data": "digits"}
    error = run(services, ask(services, body)).error
    assert error
    assert error["code"] == "invalid-tensors"
    assert "conv2.weight" in error["detail"]


@pytest.mark.parametrize(("kind", "mebibytes"), [("score", 60), ("train", 60), ("prune", 260)])
def test_too_little_memory_is_told_whatever_meets_it(
    tmp_path: Path, kind: str, mebibytes: int
) -> None:
    services = opened(tmp_path, task_memory_bytes=mebibytes << 20)
    save_tensors(build("vgg16-cifar10").state_dict(), tmp_path / "weights")
    weights = uploaded(services, (tmp_path / "weights").read_bytes())
    save_file(images(64, channels=3, size=32, classes=10), tmp_path / "images")
    data = uploaded(services, (tmp_path / "images").read_bytes())
    body = {"kind": kind, "network": "vgg16-cifar10", "data": data}
    body |= {} if kind == "train" else {"weights": weights}
    job = run(services, ask(services, body))
    assert job.error
    assert job.error["code"] == "out-of-memory", job.error


def test_what_the_version_before_has_stored_is_shown_and_done(tmp_path: Path) -> None:
    """Its tasks leave out what had its default, its outcomes do not name their main file."""
    file = {"name": "scores", "digest": digest_of(b""), "bytes": 0}
    asked = {"kind": "score", "network": "digits-cnn", "weights": digest_of(b""), "data": "digits"}
    training = TRAINING | {"recipe": RECIPE | {"epochs": 1}}
    rows = [
        ("job_done", "succeeded", asked, {"files": [file], "report": {"layers": 3}}),
        ("job_next", "queued", training, None),
    ]
    before = database.Database(Settings(state_dir=tmp_path))
    migrate.upgrade(before, "0003")
    with before.engine.begin() as connection:
        for name, status, task, outcome in rows:
            job = {
                "id": name, "kind": task["kind"], "status": status,
                "content_key": digest_of(name.encode()), "spec": "{}",
                "task": json.dumps(task), "algorithm": "a", "note": "{}",
                "outcome": outcome and json.dumps(outcome), "queue": "raiw.gpu",
                "timeout_seconds": 60.0, "max_attempts": 3, "attempt": 0, "phase": "queued",
                "completed": 0, "total": 1, "events": 0, "created_at": datetime.now(UTC),
                "run_after": datetime.now(UTC),
            }  # fmt: skip
            columns, values = ", ".join(job), ", ".join(f":{column}" for column in job)
            connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), job)  # noqa: S608
    before.close()
    services = opened(tmp_path)
    done = get_job(services, "job_done")
    assert json.loads(zlib.decompress(open_request(services, "job_done"))) == asked
    assert done.result
    assert (done.result.digest, done.result.report) == (file["digest"], {"layers": 3})
    assert done.urls.result == f"/v1/blobs/{file['digest']}"
    made = run(services, "job_next")
    assert made.status == "succeeded", made.error
    assert made.result
    assert [one.name for one in made.result.files] == ["weights-seed-0"]
    listed = {job.id: job.result for job in list_jobs(services, JobQuery(page_size=9)).items}
    assert {job_id: one and one.digest for job_id, one in listed.items()} == {
        "job_done": done.result.digest, "job_next": made.result.digest,
    }  # fmt: skip
    services.database.close()


def images(
    count: int, *, channels: int = 1, size: int = 8, classes: int = 10, seed: int = 0
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, channels, size, size), np.uint8)
    labels = np.arange(count) % classes
    return {
        "train_images": pixels, "train_labels": labels,
        "test_images": pixels, "test_labels": labels,
    }  # fmt: skip
