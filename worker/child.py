"""The process of one task: ``python -m worker.child FOLDER``.

It is a fresh process because CUDA cannot be used after a fork, memory is given back for sure when
it ends, and it can be killed at any moment: what counts is on the disk.
"""

import logging
import os
import resource
import sys
from pathlib import Path

from raiw import extras
from raiw.errors import OutOfMemory, RaiwError
from worker.tasks.task import Task

MEMORY_VARIABLE = "RAIW_TASK_MEMORY_BYTES"

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the task of a folder and tell its events on standard output."""
    # Whatever a library prints must not get between the events.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _limit_memory(int(os.environ.get(MEMORY_VARIABLE, "0")))
    task = Task.open(Path(sys.argv[1]), pipe)
    try:
        extras.load(f"worker.tasks.{task.kind}").run(task)
    except RaiwError as error:
        task.failed(error)
    except MemoryError:
        task.failed(OutOfMemory("the task did not fit into memory: make it smaller"))


def _limit_memory(size: int) -> None:
    """Let allocations beyond ``size`` bytes fail, so that the task can say so before it ends."""
    if size:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main()
