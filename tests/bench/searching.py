"""One search with one worker and with two: ``python -m tests.bench.searching``.

Each is asked of a server of its own whose workers have one thread each. Printed: whether trials and
results are the same to the last digit, the minutes that each took, and their ratio. As other
programs take their part of the machine, the processor time of workers, broker and all they start is
printed too, and how many cores they had.
"""

import argparse
import os
import time
from typing import Any

from raiw.jobs.search import SearchJob
from tests.integration.stack import SETTINGS, Stack

_WORKERS = {"RAIW_TASK_THREADS": "1", "RAIW_LEASE_SECONDS": "60"}
"""They keep their jobs however busy the machine is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    job = SearchJob.parse(
        {
            "network": "digits-cnn",
            "data": "digits",
            "budget": {"parameters": 4000},
            "trials": arguments.trials,
            "generation": 8,
            "pool": 2,
            "finalists": 0,
            "finals": 0,
            "recipe": {"epochs": arguments.epochs, "augment": False},
        }
    )
    found = {workers: _searched(job, workers) for workers in (1, 2)}
    (one, alone, _), (two, beside, _) = found.values()
    equal = one["trials"] == two["trials"] and one["spec"] == two["spec"]
    print(f"{len(one['trials'])} trials of {arguments.epochs} epochs equal: {_yes(equal)}")
    for workers, (_, seconds, cpu) in found.items():
        print(
            f"{workers} worker{'s' * (workers > 1)}: {seconds / 60:.2f} minutes, "
            f"{cpu / 60:.2f} of processor time, {cpu / seconds:.2f} cores"
        )
    print(f"ratio {alone / beside:.2f}")


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _searched(job: SearchJob, workers: int) -> tuple[dict[str, Any], float, float]:
    """Return a search's report, its seconds, and the processor seconds of all that served it."""
    before = _processor_seconds()
    stack = Stack("sqlite", SETTINGS | _WORKERS)
    try:
        for _ in range(workers):
            stack.start_worker()
        began = time.monotonic()
        asked = stack.client.submit(job).wait()
        seconds = time.monotonic() - began
        asked.require_digest()
        report = asked.report or {}
    finally:
        stack.stop()
    return report, seconds, _processor_seconds() - before


def _processor_seconds() -> float:
    """Return what the processes have used that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
