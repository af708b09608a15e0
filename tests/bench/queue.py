"""What 10,000 queued jobs cost: ``python -m tests.bench.queue``.

Jobs of 64 small layers are submitted while no worker is there; the API starts again with them,
lists and counts them; workers drain them for some minutes. Then as many are submitted and canceled,
and new jobs are timed from their creation to their start, as before all that. At last come specs of
a megabyte each, and 200 clients that wait for one of them. Printed for each step: seconds, most
memory of the API process, and messages that the broker has taken. The floor of the drain is the
library crafting the same specs in this process. The settings are the defaults of a deployment.
"""

import argparse
import statistics
import time

import raiw
from tests.integration.backlog import Backlog, spec
from tests.integration.stack import Stack

STARTS = 20
LARGE = {"layers": 4096, "name": "a-layer-with-a-long-name" * 6}
"""A spec of a megabyte."""
WAITING = 200


def measure(stack: Stack, jobs: int, layers: int, minutes: float) -> None:
    backlog = Backlog(stack, layers, tell=lambda step: print(f"  {step}", flush=True))
    stack.start_worker()
    _time_starts(backlog, "before all")
    stack.stop_workers()
    with backlog.step(f"submit {jobs} jobs"):
        backlog.submit(jobs)
    stack.restart_api()
    with backlog.step("start, and 5 s more"):
        time.sleep(5)
    with backlog.step("list all, 200 a page"):
        found = len(backlog.queued())
    with backlog.step("metrics, 10 times"):
        for _ in range(10):
            backlog.count("queued")
    before = backlog.messages() - backlog.held()
    began = time.perf_counter()
    stack.start_worker()
    with backlog.step("drain"):
        left = backlog.drain(60 * minutes)
    drained, seconds = found - left, time.perf_counter() - began
    sent = backlog.messages() - backlog.held() - before
    floor = statistics.median(_craft_seconds(layers) for _ in range(20))
    print(
        f"  drained {drained} of {found}: {sent / drained:.3f} messages a job, "
        f"{1000 * seconds / drained:.1f} ms a job, library {1000 * floor:.1f} ms, "
        f"ratio {seconds / drained / floor:.1f}"
    )
    stack.stop_workers()
    if left < jobs:
        with backlog.step(f"submit {jobs - left} jobs more"):
            backlog.submit(jobs - left)
    waiting = backlog.queued()
    with backlog.step(f"cancel {len(waiting)} jobs"):
        backlog.cancel(waiting)
    print(f"  the broker holds {backlog.held()} messages, the list {len(backlog.queued())} jobs")
    stack.start_worker()
    began = time.perf_counter()
    backlog.wait_until_idle()
    print(f"  idle {time.perf_counter() - began:.2f} s after the worker's start")
    _time_starts(backlog, "after all")


def _time_starts(backlog: Backlog, when: str) -> None:
    starts = sorted(1000 * backlog.start_seconds() for _ in range(STARTS))
    print(
        f"  {when} a new job starts after {statistics.median(starts):.1f} ms, "
        f"{starts[-1]:.1f} ms at most ({STARTS} jobs)",
        flush=True,
    )


def measure_large(stack: Stack, jobs: int) -> None:
    """Queue jobs whose specs have a megabyte each."""
    backlog = Backlog(stack, **LARGE, tell=lambda step: print(f"  {step}", flush=True))
    with backlog.step(f"submit {jobs} specs of 1 MB"):
        ids = backlog.submit(jobs)
    stack.restart_api()
    with backlog.step("start, and 5 s more"):
        time.sleep(5)
    with backlog.step("list, 200 a page"):
        backlog.queued()
    with backlog.step(f"{WAITING} clients wait for one of them"):
        backlog.wait_together(ids[0], WAITING)


def _craft_seconds(layers: int) -> float:
    began = time.perf_counter()
    raiw.craft(spec(layers)).to_bytes()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=64)
    parser.add_argument("--large", type=int, default=50, help="jobs of a large spec each")
    parser.add_argument("--minutes", type=float, default=8.0, help="longest drain")
    asked = parser.parse_args()
    for kind in asked.deployments:
        print(f"{kind}:", flush=True)
        stack = Stack(kind, settings={"RAIW_MIN_FREE_BYTES": "0"})
        try:
            if asked.jobs:
                measure(stack, asked.jobs, asked.layers, asked.minutes)
            stack.stop_workers()
            measure_large(stack, asked.large)
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
