"""Toward a thousand workers: ``python -m tests.bench.sizing``, after ``pip install 'raiw[load]'``.

A simulation of one deployment: clients that submit, poll and download; API processes; a database
with its cores; a store of objects with its bandwidth; workers. What each step costs of the
processor is what ``python -m tests.bench.load`` has measured on one machine (``COSTS``), so the
simulation tells which part is full first, and at what rate. Printed for each size: the share of its
time that a part is busy, and how long clients wait.
"""

import argparse
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

import simpy

MS = 1e-3
COSTS = {
    "submit": (1.6 * MS, 0.4 * MS),
    "poll": (0.34 * MS, 0.01 * MS),
    "download of 1 MiB": (1.2 * MS, 0.5 * MS),
    "work": (2.0 * MS, 5.0 * MS),
    "heartbeat": (0.0, 0.5 * MS),
}
"""Seconds of the API's and the database's processor."""
HEARTBEAT_SECONDS = 20 / 3


@dataclass(frozen=True, slots=True)
class Deployment:
    """How much there is of each part, and what is asked of it."""

    workers: int
    api: int = 1
    database: int = 2
    """Cores."""
    objects: float = 1000.0
    """MiB a second that the store of objects gives and takes."""
    job_seconds: float = 10.0
    """Crafting a job."""
    mask_mib: float = 1.0
    poll_seconds: float = 2.0
    """Between two polls of a client."""
    load: float = 0.9
    """Share of the workers' time for which there are jobs."""

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.load * self.workers / self.job_seconds


@dataclass(slots=True)
class Outcome:
    """What a simulation has seen."""

    busy: dict[str, float] = field(default_factory=dict)
    submit: list[float] = field(default_factory=list)
    """Seconds to the acknowledgement."""
    queued: list[float] = field(default_factory=list)
    """Seconds from the acknowledgement to the start."""
    done: int = 0


class Simulation:
    """Clients arrive at random; each part serves in the order of arrival."""

    def __init__(self, deployment: Deployment, seconds: float, seed: int) -> None:
        self._one = deployment
        self._seconds = seconds
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, guards nothing
        self._env = simpy.Environment()
        self._parts = {
            "API": simpy.Resource(self._env, deployment.api),
            "database": simpy.Resource(self._env, deployment.database),
            "objects": simpy.Resource(self._env, 1),
            "workers": simpy.Resource(self._env, deployment.workers),
        }
        self._worked = dict.fromkeys(self._parts, 0.0)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Simulate."""
        self._env.process(self._arrivals())
        self._env.run(until=self._seconds)
        for name, part in self._parts.items():
            self.outcome.busy[name] = self._worked[name] / (part.capacity * self._seconds)
        return self.outcome

    def _arrivals(self) -> Iterator[simpy.Event]:
        while True:
            yield self._env.timeout(self._random.expovariate(self._one.rate))
            self._env.process(self._client())

    def _client(self) -> Iterator[simpy.Event]:
        asked = self._env.now
        yield from self._request("submit")
        self.outcome.submit.append(self._env.now - asked)
        work = self._env.process(self._job(self._env.now))
        while not work.processed:
            yield self._env.timeout(self._one.poll_seconds)
            yield from self._request("poll")
        yield from self._request("download of 1 MiB", self._one.mask_mib)
        yield from self._use("objects", self._one.mask_mib / self._one.objects)

    def _job(self, asked: float) -> Iterator[simpy.Event]:
        with self._parts["workers"].request() as turn:
            yield turn
            began = self._env.now
            self.outcome.queued.append(began - asked)
            yield from self._request("work")
            left = self._random.expovariate(1 / self._one.job_seconds)
            while left > 0:
                yield self._env.timeout(min(left, HEARTBEAT_SECONDS))
                left -= HEARTBEAT_SECONDS
                yield from self._request("heartbeat")
            yield from self._use("objects", self._one.mask_mib / self._one.objects)
            self._worked["workers"] += self._env.now - began
        self.outcome.done += 1

    def _request(self, name: str, times: float = 1) -> Iterator[simpy.Event]:
        for part, seconds in zip(("API", "database"), COSTS[name], strict=True):
            yield from self._use(part, seconds * times)

    def _use(self, part: str, seconds: float) -> Iterator[simpy.Event]:
        if seconds:
            with self._parts[part].request() as turn:
                yield turn
                yield self._env.timeout(seconds)
                self._worked[part] += seconds


def most(deployment: Deployment) -> dict[str, float]:
    """Return the jobs a second at which each part is full, by the same costs without chance."""
    polls = deployment.job_seconds / deployment.poll_seconds
    beats = deployment.job_seconds / HEARTBEAT_SECONDS
    counts = {"submit": 1, "poll": polls, "work": 1, "heartbeat": beats}
    counts["download of 1 MiB"] = deployment.mask_mib
    api, database = (
        sum(COSTS[name][part] * count for name, count in counts.items()) for part in (0, 1)
    )
    return {
        "API": deployment.api / api,
        "database": deployment.database / database,
        "objects": deployment.objects / (2 * deployment.mask_mib),
        "workers": deployment.workers / deployment.job_seconds,
    }


SIZES = [
    Deployment(workers=10),
    Deployment(workers=100),
    Deployment(workers=1000),
    Deployment(workers=1000, api=4),
    Deployment(workers=1000, job_seconds=1.0),
    Deployment(workers=1000, job_seconds=1.0, api=8),
    Deployment(workers=1000, job_seconds=1.0, api=16, database=16),
    Deployment(workers=1000, job_seconds=1.0, api=16, database=16, mask_mib=16, objects=40_000),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="simulated time")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("workers   job s   MiB  API  DB |  jobs/s | busy: API    DB  objects  workers | "
          "submit p50  p99 ms | queued p99 s | first full")  # fmt: skip
    for size in SIZES:
        seen = Simulation(size, asked.seconds, asked.seed).run()
        limits = most(size)
        first = min(limits, key=lambda name: limits[name])
        cuts = statistics.quantiles(seen.submit, n=100)
        waits = statistics.quantiles(seen.queued, n=100) if len(seen.queued) > 1 else [0.0] * 99
        busy = seen.busy
        print(
            f"{size.workers:7} {size.job_seconds:7.0f} {size.mask_mib:5.0f} {size.api:4} "
            f"{size.database:3} | {size.rate:7.1f} | {busy['API']:9.2f} "
            f"{busy['database']:5.2f} {busy['objects']:8.2f} {busy['workers']:8.2f} | "
            f"{1000 * cuts[49]:10.0f} {1000 * cuts[98]:7.0f} | {waits[98]:12.1f} | "
            f"{first} at {limits[first]:.0f} jobs/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
