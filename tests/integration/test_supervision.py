"""What ends a layer that takes minutes: the process it is in, whatever it is doing there."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import save

from raiw.canonical import digest_of
from service.contract.jobs import JobStatus, JobView
from service.contract.requests import JobRequest
from service.jobs.cancel import cancel
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.jobs.submit import submit
from service.jobs.uploads import put_blob
from service.settings import Settings
from service.store import jobs, migrate
from tests.integration.pools import FORKS, pool
from tests.integration.stack import eventually
from worker.lease import Lease
from worker.runner import assist_job, run_job
from worker.stops import TimedOut

pytestmark = pytest.mark.usefixtures("forks")

HOPELESS = {
    "many short steps": ("greedy", 64),  # thousands of decompositions, the interpreter between
    "one call of a kernel": ("regular", 30_000),
}


def layers(algorithm: str, side: int, count: int = 1) -> dict[str, Any]:
    """A spec whose every layer takes minutes."""
    return {
        "layers": [
            {"name": f"fc{i}", "kind": "linear", "in_features": side, "out_features": side}
            for i in range(count)
        ],
        "craft": {"algorithm": algorithm, "density": 0.5},
    }


SMALL = {"spec": layers("regular", 16)}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Services]]:
    running: list[Services] = []

    def _open(**settings: Any) -> Services:
        chosen = Settings(state_dir=tmp_path, min_free_bytes=0, **settings)
        migrate.migrate(chosen)
        running.append(Services.open(chosen))
        return running[-1]

    yield _open
    for services in running:
        services.database.close()


def ask(services: Services, body: dict[str, Any]) -> str:
    request: Any = TypeAdapter(JobRequest).validate_python(body)
    return submit(services, request).job.id


class Running:
    """A job that a pool process runs beside the test."""

    def __init__(self, services: Services, body: dict[str, Any]) -> None:
        self.stopping = threading.Event()
        self.services = services
        self.id = ask(services, body)
        process = pool(services, self.stopping.is_set)
        self._thread = threading.Thread(target=run_job, args=(process, self.id))
        self._thread.start()
        self.pid = eventually(lambda: next(iter(forked()), 0))

    def ended(self) -> JobView:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return get_job(self.services, self.id)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def forked() -> list[int]:
    """The processes that work at this moment."""
    listed = Path(f"/proc/{FORKS.pid}/task/{FORKS.pid}/children").read_text()
    return [pid for pid in map(int, listed.split()) if state(pid) != "Z"]


@pytest.mark.parametrize("layer", HOPELESS.values(), ids=HOPELESS)
def test_a_layer_under_way_is_canceled(opened, layer: tuple[str, int]) -> None:
    services = opened()
    job = Running(services, {"spec": layers(*layer)})
    cancel(services, job.id)
    assert job.ended().status == "canceled"
    eventually(lambda: not forked(), 10)


@pytest.mark.parametrize("layer", HOPELESS.values(), ids=HOPELESS)
def test_a_layer_under_way_runs_out_of_time(opened, layer: tuple[str, int]) -> None:
    job = Running(opened(), {"spec": layers(*layer), "timeout_seconds": 1})
    ended = job.ended()
    assert ended.error
    assert (ended.status, ended.error["code"]) == ("failed", "timeout")
    eventually(lambda: not forked(), 10)


def test_a_worker_that_ends_gives_a_layer_under_way_back(opened) -> None:
    job = Running(opened(), {"spec": layers("greedy", 64)})
    job.stopping.set()
    ended = job.ended()
    assert (ended.status, ended.max_attempts - ended.attempt) == ("queued", 3)
    eventually(lambda: not forked(), 10)


def test_a_layer_of_a_lost_job_is_given_up(opened) -> None:
    """The reaper took the job, so another attempt may be at it: this one leaves the machine."""
    services = opened()
    job = Running(services, {"spec": layers("greedy", 64)})
    with services.database.write() as session:
        now = services.database.now(session)
        jobs.lose(session, jobs.Attempt(job.id, 1), timedelta(0), now)
    assert job.ended().status == "queued"
    eventually(lambda: not forked(), 10)


def test_a_process_that_is_killed_costs_its_attempt(opened) -> None:
    job = Running(opened(), {"spec": layers("greedy", 64)})
    os.kill(job.pid, signal.SIGKILL)
    ended = job.ended()
    assert (ended.status, ended.attempt, ended.max_attempts) == ("queued", 1, 3)


def test_what_forks_may_be_killed_too(opened) -> None:
    services = opened()
    job = Running(services, {"spec": layers("greedy", 64)})
    eventually(lambda: state(FORKS.pid) == "S")  # it has told what it forked
    os.kill(FORKS.pid, signal.SIGKILL)
    assert job.ended().status == "queued"
    eventually(lambda: not Path(f"/proc/{job.pid}").exists())
    FORKS.open()
    again = ask(services, SMALL)
    run_job(pool(services), again)
    assert get_job(services, again).status == "succeeded"


def test_the_layers_of_an_assistant_end_with_the_job(opened) -> None:
    services = opened(unit_cells=1)
    job_id = ask(services, {"spec": layers("greedy", 64, count=3)})
    with services.database.write() as session:
        now = services.database.now(session)
        jobs.claim(session, job_id, "another worker", timedelta(minutes=5), now)
    thread = threading.Thread(target=assist_job, args=(pool(services), job_id))
    thread.start()
    eventually(forked)
    cancel(services, job_id)
    thread.join(30)
    assert not thread.is_alive()
    eventually(lambda: not forked(), 10)


def test_the_units_of_a_job_obey_its_end(opened) -> None:
    services = opened(unit_cells=1)
    job = Running(services, {"spec": layers("greedy", 64, count=3), "timeout_seconds": 1})
    ended = job.ended()
    assert ended.error
    assert ended.error["code"] == "timeout"
    eventually(lambda: not forked(), 10)


def test_crafting_that_needs_more_memory_than_it_may_have_says_so(opened) -> None:
    scores = save({"fc0": np.ones((2000, 2000), np.float32)})
    asking = opened()
    put_blob(asking, digest_of(scores), len(scores), [scores])
    job_id = ask(asking, {"spec": layers("balanced", 2000), "importance": digest_of(scores)})
    limit = 60 << 20
    services = opened(craft_memory_bytes=limit)
    run_job(pool(services), job_id)
    error = get_job(services, job_id).error
    assert error
    assert error["code"] == "out-of-memory"
    assert str(limit) in error["detail"]
    assert "RAIW_CRAFT_MEMORY_BYTES" in error["detail"]
    again = ask(services, SMALL)
    run_job(pool(services), again)
    assert get_job(services, again).status == "succeeded"


def test_a_process_that_works_knows_no_secret(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"RAIW_TOKEN": "t" * 16, "RAIW_DATABASE_URL": "d", "RAIW_BROKER_URL": "b"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    FORKS.close()
    FORKS.open()
    for name in secrets:
        monkeypatch.delenv(name)
    job = Running(opened(), {"spec": layers("greedy", 64)})
    for pid in (FORKS.pid, job.pid):
        environment = Path(f"/proc/{pid}/environ").read_text()
        assert "PATH=" in environment
        assert not [name for name in secrets if f"{name}=" in environment]
    cancel(job.services, job.id)
    job.ended()


def test_a_lease_is_not_renewed_for_ever(opened) -> None:
    """A stuck attempt lets go of its job once its time is over."""
    process = pool(opened(lease_seconds=1))
    renewed: list[timedelta] = []

    def renew(_session: Any, extension: timedelta, _now: datetime) -> str:
        renewed.append(extension)
        return JobStatus.RUNNING

    with Lease(process, renew, timeout_seconds=0.1) as lease:
        eventually(lambda: "lease" not in {thread.name for thread in threading.enumerate()})
        assert set(renewed) == {timedelta(seconds=1)}
        with pytest.raises(TimedOut, match=r"longer than its 0\.1 s"):
            lease.check()
