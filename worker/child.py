"""The process of one task: ``python -m worker.child FOLDER``.

It is a fresh process because CUDA cannot be used after a fork, memory is given back for sure when
it ends, and it can be killed at any moment: what counts is on the disk.
"""

import os
import resource
import sys
import traceback
from pathlib import Path

from raiw.errors import RaiwError
from service.contract.problems import problem_of
from service.tether import TIED, tie
from worker.problems import INTERNAL, OUT_OF_MEMORY
from worker.tasks.job import load
from worker.tasks.task import Task

MEMORY_VARIABLE = "RAIW_TASK_MEMORY_BYTES"


def main() -> None:
    """Run the task of a folder and tell its events on standard output."""
    # Whatever a library prints must not get between the events.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    several = "LOCAL_RANK" in os.environ
    if several:  # torchrun gives each process a session of its own, out of the worker's reach
        tie(int(os.environ[TIED]))
    task = Task.open(Path(sys.argv[1]), pipe)
    try:
        perform = load(task)
        # From here on: an import that meets the limit breaks in ways that nobody understands.
        _limit_memory(int(os.environ.get(MEMORY_VARIABLE, "0")))
        perform()
    except RaiwError as error:
        task.failed(problem_of(error))
    except (MemoryError, SystemError):  # an import inside torch that gets no memory raises either
        traceback.print_exc()
        task.failed(OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 -- the worker must hear of it, whatever it is
        # What the exception says may hold anything; the log has it, the client a stable code.
        traceback.print_exc()
        if not several:  # of several it is most likely the loss of another, which knows more
            task.failed(INTERNAL)


def _limit_memory(size: int) -> None:
    """Let allocations beyond ``size`` bytes fail, so that the task can say so before it ends."""
    if size:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main()
