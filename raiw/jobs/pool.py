"""Processes beside this one that end with it, whatever ends it, and tell how far their runs are."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from threading import Thread

Told = SimpleQueue[tuple[str, int]]
"""Messages from the processes: the key of a run and the epochs it has done."""

_TOLD: ContextVar[Told] = ContextVar("told")


@dataclass(frozen=True, slots=True)
class Pool:
    """Processes that run what is handed to them, each with one thread."""

    executor: ProcessPoolExecutor
    told: Told


@contextmanager
def open_pool(jobs: int) -> Iterator[Pool]:
    """Start processes that end at once when this one ends, is interrupted or is killed.

    They are spawned, so a script calls this below ``if __name__ == "__main__"``.
    """
    context = get_context("spawn")  # a fork would inherit the threads of torch
    theirs, ours = context.Pipe(duplex=False)
    told: Told = context.SimpleQueue()
    executor = ProcessPoolExecutor(jobs, context, _begin, (theirs, told))
    try:
        yield Pool(executor, told)
        executor.shutdown()
    finally:
        ours.close()
        executor.shutdown(cancel_futures=True)
        theirs.close()
        told.close()


def tell_pool(key: str, epochs: int) -> None:
    """Tell the process that opened the pool how many epochs a run has done."""
    _TOLD.get().put((key, epochs))


def _begin(opener: Connection, told: Told) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever opened it decides what Ctrl-C means
    _TOLD.set(told)
    Thread(target=_end_with, args=(opener,), daemon=True).start()


def _end_with(opener: Connection) -> None:
    opener.poll(None)  # nothing is ever sent: this returns when the other end has gone
    os._exit(1)
