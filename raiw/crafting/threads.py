"""Work on several threads, whose results come in the order of the work."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

_AHEAD = 2
"""Pieces of work that are started or made, for each thread, while the next result is waited for."""


def available() -> int:
    """Return how many threads run at once: of the processors that this process may use, all.

    No more than ``OMP_NUM_THREADS``, by which pools of processes share a machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return max(1, min(cores or 1, int(wanted) if wanted.isdecimal() else cores or 1))


def in_order(
    make: Callable[[Given], Made],
    work: Sequence[Given],
    threads: int,
    before: Callable[[], None] | None = None,
) -> Iterator[Made]:
    """Yield ``make(piece)`` of every piece of work, in order; one thread is the caller's own.

    The first exception, in the order of the work, ends it: what is being made is waited for.

    Parameters
    ----------
    make
        What the threads do.
    work
        What each call gets.
    threads
        Most calls at a time.
    before
        Called by the caller's thread before a call is planned; its exception ends the work.
    """
    if min(threads, len(work)) <= 1:
        for piece in work:
            if before is not None:
                before()
            yield make(piece)
        return
    planned: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(min(threads, len(work)), "raiw") as pool:
        try:
            for piece in work:
                if len(planned) == _AHEAD * threads:
                    yield planned.popleft().result()
                if before is not None:
                    before()
                planned.append(pool.submit(make, piece))
            while planned:
                yield planned.popleft().result()
        finally:
            for future in planned:
                future.cancel()
