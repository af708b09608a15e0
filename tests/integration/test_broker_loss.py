"""The worker and its broker: one may die, or turn the other away, and both go on."""

import subprocess
import sys
import time

from tests.integration.stack import Stack, eventually
from tests.integration.test_job_life import small


def test_a_worker_outlives_its_broker_again_and_again(idle_stack: Stack) -> None:
    worker = idle_stack.start_worker()
    for away in (0, 0.1, 0.3, 1, 3):
        idle_stack.broker.stop()
        time.sleep(away)
        idle_stack.broker.start()
        job = idle_stack.submit(small()).json()
        assert idle_stack.wait(job["id"])["attempt"] == 1
    assert worker.alive


def test_a_worker_that_its_broker_denies_says_why_and_waits(idle_stack: Stack) -> None:
    admin = idle_stack.broker.client.client()  # one connection, which stays another user's
    admin.acl_setuser("admin", enabled=True, nopass=True, categories=["+@all"], keys=["*"])
    admin.execute_command("AUTH", "admin", "any")
    worker, start = idle_stack.start_worker(), len(idle_stack.log.read_text())
    try:
        admin.acl_setuser(
            "default", enabled=True, nopass=True, categories=["-@all", "+@connection"]
        )
        admin.client_kill_filter(_type="normal", skipme=True)
        eventually(lambda: "no permissions" in idle_stack.log.read_text()[start:])
        asked = subprocess.run(
            [sys.executable, "-m", "raiw", "worker", "--ping"],
            env=idle_stack.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 7
        assert "no permissions" in asked.stderr
        assert "Traceback" not in asked.stderr
    finally:
        admin.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"], keys=["*"])
        admin.acl_deluser("admin")
    assert worker.alive
    told = [line for line in idle_stack.log.read_text()[start:].splitlines() if " worker " in line]
    assert any("no jobs from the broker" in line and "no permissions" in line for line in told)
    idle_stack.wait(idle_stack.submit(small()).json()["id"])
