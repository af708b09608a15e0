"""What a flood of one owner costs another: ``python -m tests.bench.fairness``.

One owner asks for a job and waits for it, again and again: first alone, then while another has
2,000 jobs queued. The floor is the time alone, in the same run and on the same workers. Printed for
both: the median from the request to the end of the job, and its ratio; how many jobs of the other
start between the acknowledgement of a job and its start, which is what the flood really costs and
may be one on each process; and how much of the time the workers are at work, as waiting messages
are few. ``--rounds`` interleaves both more often.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import create_engine, text

from service.settings import Settings
from tests.integration.backlog import Backlog, spec
from tests.integration.stack import Stack

WORKERS = 2
SETTINGS = {
    "RAIW_MIN_FREE_BYTES": "0",
    "RAIW_NETWORK_MODULES": "",
    "RAIW_KEY_SECRET": "of this bench and of nothing else",
}
SHAPE = {"layers": 64, "side": 64}


def measure(stack: Stack, flood: int, jobs: int) -> None:
    backlog = Backlog(stack, SHAPE["layers"])
    with other_owner(stack) as http:
        ask(http, 2)
        alone = ask(http, jobs)
        backlog.submit(flood)
        while not backlog.count("running"):
            time.sleep(0.05)
        flooded = ask(http, jobs)
        passed = sorted(starts_meanwhile(stack, flooded))
        busy = utilisation(stack, flooded)
    floor, loaded = (statistics.median(one.seconds for one in each) for each in (alone, flooded))
    print(
        f"  alone p50 {1000 * floor:.0f} ms, beside {flood} jobs {1000 * loaded:.0f} ms: "
        f"ratio {loaded / floor:.2f}; starts of others before his: median "
        f"{statistics.median(passed):g}, at most {passed[-1]} on {WORKERS} processes; workers at "
        f"work {100 * busy:.0f} % of the time",
        flush=True,
    )
    while waiting := backlog.queued():
        for job_id in waiting:
            stack.http.post(f"/v1/jobs/{job_id}/cancel")  # 409 where a worker was quicker


@contextmanager
def other_owner(stack: Stack) -> Iterator[httpx.Client]:
    """Yield a client with a key; whoever has none is the owner ``local``."""
    command = [sys.executable, "-m", "raiw", "keys", "create", "--owner", "other"]
    command += ["--scope", "all", "--quiet"]
    made = subprocess.run(
        command, env=stack.environment, capture_output=True, check=True, text=True
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=120) as http:
        yield http


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that has ended, and what its client saw."""

    job: dict[str, Any]
    acknowledged: str
    seconds: float
    """From the request to the end."""


def ask(http: httpx.Client, jobs: int) -> list[Asked]:
    """Ask for jobs one after another, each when the last one has ended."""
    done = []
    for _ in range(jobs):
        began = time.perf_counter()
        job = http.post("/v1/jobs", json={"spec": spec(**SHAPE)}).json()
        acknowledged = datetime.now(UTC).isoformat()
        while not job["done"]:
            job = http.get(job["urls"]["self"], headers={"Prefer": "wait=30"}).json()
        assert job["status"] == "succeeded", job
        done.append(Asked(job, acknowledged, time.perf_counter() - began))
    return done


def starts_meanwhile(stack: Stack, asked: list[Asked]) -> Iterator[int]:
    """Yield for each job how many of others started between its acknowledgement and its start."""
    with connected(stack) as connection:
        for one in asked:
            query = text(
                "SELECT count(*) FROM jobs WHERE owner_id = 'local' AND started_at > :a "
                "AND started_at < :b"
            )
            until = moment(stack, one.job["started_at"])
            moments = {"a": moment(stack, one.acknowledged), "b": until}
            yield connection.execute(query, moments).scalar_one()


def utilisation(stack: Stack, flooded: list[Asked]) -> float:
    """Return the share of the workers' time in which they have had a job."""
    began = moment(stack, flooded[0].job["created_at"])
    ended = moment(stack, flooded[-1].job["finished_at"])
    with connected(stack) as connection:
        query = text(
            "SELECT started_at, finished_at FROM jobs WHERE finished_at > :a AND started_at < :b"
        )
        rows = connection.execute(query, {"a": began, "b": ended}).all()
    a, b = (datetime.fromisoformat(str(each)).replace(tzinfo=None) for each in (began, ended))
    spans = [
        [datetime.fromisoformat(str(each)).replace(tzinfo=None) for each in row] for row in rows
    ]
    worked = sum((min(end, b) - max(start, a)).total_seconds() for start, end in spans)
    return worked / (b - a).total_seconds() / WORKERS


def connected(stack: Stack):
    return closing(create_engine(Settings(database_url=stack.database.url).database).connect())


def moment(stack: Stack, written: str) -> object:
    """Return a time as the database compares it."""
    then = datetime.fromisoformat(written)
    is_sqlite = stack.database.url.startswith("sqlite")
    return then.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else then


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--flood", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    for kind in asked.deployments:
        print(f"{kind}:", flush=True)
        stack = Stack(kind, settings=SETTINGS)
        try:
            for _ in range(WORKERS):
                stack.start_worker()
            for _ in range(asked.rounds):
                measure(stack, asked.flood, asked.jobs)
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
