"""Holding work: how long it may run, and a lease that a thread renews meanwhile."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.contract.jobs import ENDED, JobStatus
from worker.pool import PoolProcess
from worker.stops import Canceled, Lost, ShuttingDown, TimedOut

logger = logging.getLogger(__name__)

_LONGEST_TICK_SECONDS = 1.0
"""How soon a running job notices that it was canceled."""


Renew = Callable[[Session, timedelta, datetime], str | None]
"""Extends a lease from now on; returns the job's status, None when the work was taken away."""


class Watch:
    """When work must stop: its time is over, or the worker is stopping."""

    def __init__(self, process: PoolProcess, timeout_seconds: float) -> None:
        self._process = process
        self._timeout_seconds = timeout_seconds
        self._ends = time.monotonic() + timeout_seconds

    def check(self) -> None:
        """Raise when the work must stop.

        Raises
        ------
        TimedOut, ShuttingDown
        """
        self._process.moved()
        if time.monotonic() > self._ends:
            raise TimedOut(
                f"the attempt ran longer than its {self._timeout_seconds:g} s: raise "
                f"timeout_seconds or make the job smaller"
            )
        if self._process.stopping():
            raise ShuttingDown("the worker was told to end")


class Lease(Watch):
    """A context in which claimed work is kept alive and watched."""

    def __init__(
        self,
        process: PoolProcess,
        renew: Renew,
        timeout_seconds: float,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(process, timeout_seconds)
        self._renew = renew
        self._guard = guard
        self._stop: Canceled | Lost | None = None
        self._left = threading.Event()
        beat = partial(copy_context().run, self._beat)  # its log lines are about the same request
        self._thread = threading.Thread(target=beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def check(self) -> None:
        """Raise when the work must stop.

        Raises
        ------
        Canceled, Lost, TimedOut, ShuttingDown
        """
        if self._stop is not None:
            raise self._stop
        super().check()
        self._guard()

    def observe(self, status: str | None) -> None:
        """Take note of the job's status that a write returned."""
        if status is None:
            self._stop = Lost("the lease ran out and the job was taken away")
        elif status == JobStatus.CANCELING or status in ENDED:
            self._stop = Canceled("the job was canceled, or has ended without this work")

    def _beat(self) -> None:
        services = self._process.services
        lease = services.settings.lease_seconds
        tick = min(lease / 3, _LONGEST_TICK_SECONDS)
        # After its time, a stuck attempt stops renewing, and the reaper takes the job.
        while not self._left.wait(tick) and time.monotonic() < self._ends + lease:
            try:
                with services.database.write() as session:
                    now = services.database.now(session)
                    self.observe(self._renew(session, timedelta(seconds=lease), now))
            except SQLAlchemyError as error:
                logger.warning("the lease could not be renewed, trying again: %s", error)
