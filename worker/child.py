"""The processes that do all work: ``python -m worker.child SOCKET`` forks one for each task.

A worker keeps this program ready, with all of crafting imported, so that a process of its own costs
a task milliseconds instead of the start of an interpreter. It has one thread and opens nothing,
which makes forking safe, and CUDA too, as nothing here imports torch before the fork. A forked
process may be killed at any moment: everything that matters is on disk or with the worker.

torchrun starts ``python -m worker.child FOLDER`` for each of the processes that train together.
"""

import contextlib
import errno
import gc
import json
import logging
import os
import resource
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from raiw import extras
from raiw.algorithms import ALGORITHMS
from raiw.errors import RaiwError
from raiw.pipeline import craft
from service.contract.problems import problem_of
from service.logs import about, configure_logs
from service.tether import TIED, tie
from worker.problems import INTERNAL, out_of_memory
from worker.tasks import job
from worker.tasks.task import FILE, ChildTask

logger = logging.getLogger(__name__)

_EXAMPLE = "raiw/vgg16-d16"
_WITHOUT_TORCH = ("craft", "unit", "join", "measure")
LENGTH = 8
"""Bytes of a number on the socket: a process id, or the size of what follows."""
ENDED = b"."
"""Sent when a process has ended; the process is forgotten once the same is sent back."""


def main() -> None:
    """Fork for the worker at the other end of a socket, or be one of several that train."""
    if "LOCAL_RANK" in os.environ:
        # torchrun gives each process a session of its own, which the worker cannot signal.
        tie(int(os.environ[TIED]))
        _run(json.loads((Path(sys.argv[1]) / FILE).read_text("utf-8")))
    else:
        _get_ready()
        control = socket.socket(fileno=int(sys.argv[1]))
        with control, contextlib.suppress(ConnectionError):
            while order := _receive(control):
                _fork(control, *order)


def _get_ready() -> None:
    """Do once what every fork would otherwise repeat."""
    for kind in _WITHOUT_TORCH:
        extras.load(f"worker.tasks.{kind}")
    for algorithm in ALGORITHMS.values():
        algorithm.load()
    craft(_EXAMPLE).to_bytes()  # the allocator learns to keep memory, which halves what follows
    gc.freeze()  # otherwise the first collection in a fork would copy every page


def _receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Return the task and the pipe to report to; None once the worker is gone."""
    start, descriptors, _, _ = socket.recv_fds(control, LENGTH, 1)
    if not start:
        return None
    with control.makefile("rb") as stream:
        return json.loads(stream.read(int.from_bytes(start, "big"))), descriptors[0]


def _fork(control: socket.socket, order: dict[str, Any], pipe: int) -> None:
    """Fork a process, send its id, and report when it has ended."""
    server = os.getpid()
    if (pid := os.fork()) == 0:
        try:
            control.close()
            _work(server, order, pipe)
        except BaseException:  # noqa: BLE001 -- a fork must never get back into the loop above
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(pipe)
    with contextlib.suppress(OSError):  # the fork does it too: whichever comes first
        os.setpgid(pid, pid)
    control.sendall(pid.to_bytes(LENGTH, "big"))
    _await_end(pid)
    control.sendall(ENDED)
    control.recv(len(ENDED))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _await_end(pid: int) -> None:
    if hasattr(os, "waitid"):
        # Until it is reaped its id belongs to no other process, so killing it is safe.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    else:  # macOS before Python 3.13
        os.waitpid(pid, 0)


def _work(server: int, order: dict[str, Any], pipe: int) -> None:
    """Be the process of one task."""
    os.setpgid(0, 0)
    tie(server)
    os.environ.update(order["environment"])
    os.environ[TIED] = str(os.getpid())
    os.dup2(pipe, sys.stdout.fileno())
    os.close(pipe)
    if command := order["command"]:
        os.execv(command[0], command)  # noqa: S606 -- the command is ours
    _run(order["task"])


def _run(document: dict[str, Any]) -> None:
    """Run a task and report its events on standard output."""
    # Output of libraries must not get between the events.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    configure_logs("task", *document["log"])
    with about(*document["about"]):
        _perform(document, ChildTask.of(document, pipe))


def _perform(document: dict[str, Any], task: ChildTask) -> None:
    limit, setting = document["memory_bytes"], document["memory_setting"]
    try:
        perform = _load(task)
        # Only from here on: an import that hits the limit fails in obscure ways.
        _limit_memory(limit)
        perform()
    except RaiwError as error:
        task.failed(problem_of(error))
    except Exception as error:
        if _lacks_memory(error):
            logger.exception("the task %s has no memory left", task.name)
            task.failed(out_of_memory(limit, setting))
            return
        # The exception's text may contain anything: it goes to the log, the client gets a code.
        logger.exception("the task %s failed because of a defect", task.name)
        if "LOCAL_RANK" not in os.environ:  # otherwise most likely another process failed first
            task.failed(INTERNAL)


def _lacks_memory(error: Exception) -> bool:
    """Whether it is what an allocation, or an import amid one, raises when memory is short."""
    short = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return short or isinstance(error, MemoryError | SystemError)


def _load(task: ChildTask) -> Callable[[], None]:
    if task.name == "job":
        return job.load(task)
    return partial(extras.load(f"worker.tasks.{task.name}").run, task)


def _limit_memory(size: int) -> None:
    """Let allocations beyond ``size`` bytes fail, so that the task can say so before it ends."""
    if size:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


if __name__ == "__main__":
    main()
