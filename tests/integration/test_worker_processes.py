"""A whole worker: none of its processes is lost to a job, or left behind by one."""

import os
import signal
import subprocess
import sys

import pytest

from tests.integration.campaign import children
from tests.integration.stack import Stack, eventually
from tests.integration.test_job_life import small
from tests.integration.test_serve import alive, family
from tests.integration.test_supervision import layers

pytestmark = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)

LONG = layers("greedy", 64)


def test_a_pool_process_is_free_again_once_its_job_has_ended(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker()
    idle_stack.wait(idle_stack.submit(small()).json()["id"])
    before = family(worker.pid)
    for number in range(3):
        job = idle_stack.submit({**LONG, "name": f"long {number}"}).json()
        idle_stack.wait(job["id"], "running")
        idle_stack.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
        idle_stack.wait(job["id"], "canceled")
    idle_stack.wait(idle_stack.submit(small()).json()["id"])
    eventually(lambda: alive(family(worker.pid)) == alive(before), 60)  # far less than a layer


def test_a_worker_that_is_told_to_end_gives_a_long_layer_back(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker()
    job = idle_stack.submit({**LONG, "name": "given back"}).json()
    idle_stack.wait(job["id"], "running")
    everybody = eventually(lambda: len(found := family(worker.pid)) > 2 and found)
    idle_stack.workers.remove(worker)
    worker.stop()
    view = idle_stack.job(job["id"])
    assert (view["status"], view["max_attempts"] - view["attempt"]) == ("queued", 3)
    assert not alive(everybody)
    idle_stack.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()


def test_a_pool_process_that_is_killed_takes_its_layer_along(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker()
    job = idle_stack.submit({**LONG, "name": "orphan"}).json()
    idle_stack.wait(job["id"], "running")
    (process,) = children(worker.pid)
    below = eventually(lambda: len(found := family(process)) > 1 and found)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: not alive(below))
    idle_stack.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    idle_stack.wait(job["id"], "canceled")


def test_a_worker_whose_processes_hang_says_so(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker(RAIW_LEASE_SECONDS="0.4")
    assert ping(idle_stack).returncode == 0
    job = idle_stack.submit({**LONG, "name": "hangs"}).json()
    idle_stack.wait(job["id"], "running")
    (process,) = children(worker.pid)
    os.kill(process, signal.SIGSTOP)
    try:
        asked = eventually(lambda: (asked := ping(idle_stack)).returncode and asked)
    finally:
        os.kill(process, signal.SIGCONT)
    assert (asked.returncode, "1 of the 1 processes" in asked.stderr) == (7, True)
    idle_stack.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    eventually(lambda: ping(idle_stack).returncode == 0)


def ping(stack: Stack) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raiw", "worker", "--ping"],
        env=stack.environment | {"RAIW_LEASE_SECONDS": "0.4"},
        capture_output=True,
        text=True,
        check=False,
    )
