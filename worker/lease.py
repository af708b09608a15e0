"""Holding a job: the lease is renewed from a thread while the work goes on beside it.

::

    RaiwError
    └── Stopped               the work must stop
        ├── TimedOut          the attempt ran longer than the job allows
        ├── Canceled          somebody asked for it
        ├── Lost              the lease ran out and the job was taken away
        └── ShuttingDown      the worker ends
"""

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

from raiw.errors import RaiwError
from service.contract.jobs import ENDED, JobStatus
from service.jobs.services import Services

logger = logging.getLogger(__name__)

_LONGEST_TICK_SECONDS = 1.0
"""How soon a running job notices that it was canceled."""


class Stopped(RaiwError):
    """The work must stop: canceled, out of time, or taken over by another worker."""

    code = "stopped"
    title = "The work was stopped"


class TimedOut(Stopped):
    """One attempt ran longer than the job allows."""

    code = "timeout"
    title = "The job ran out of time"


class Canceled(Stopped):
    """Somebody asked the job to stop."""

    code = "canceled"
    title = "The job was canceled"


class Lost(Stopped):
    """The lease ran out; another attempt may be running, so this one writes nothing more."""

    code = "lost"
    title = "The job was taken away"


class ShuttingDown(Stopped):
    """The worker ends; the job goes back to the queue for another."""

    code = "shutting-down"
    title = "The worker is shutting down"


Renew = Callable[[Session, timedelta, datetime], str | None]
"""Extends a lease from now on; returns the job's status, None when the work was taken away."""


class Lease:
    """A context in which claimed work is kept alive and watched.

    ``stopping`` tells whether this worker has been asked to end.
    """

    def __init__(
        self,
        services: Services,
        renew: Renew,
        timeout_seconds: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._services = services
        self._renew = renew
        self._stopping = stopping
        self._ends = time.monotonic() + timeout_seconds
        self._timeout_seconds = timeout_seconds
        self._stop: Stopped | None = None
        self._left = threading.Event()
        beat = partial(copy_context().run, self._beat)  # its lines are about the same request
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
        Canceled, TimedOut, Lost, ShuttingDown
        """
        if time.monotonic() > self._ends:
            raise TimedOut(
                f"the attempt ran longer than its {self._timeout_seconds:g} s: raise "
                f"timeout_seconds or make the job smaller"
            )
        if self._stop is not None:
            raise self._stop
        if self._stopping():
            raise ShuttingDown("the worker was told to end")

    def observe(self, status: str | None) -> None:
        """Learn from what a write found out about the job."""
        if status is None:
            self._stop = Lost("the lease ran out and the job was taken away")
        elif status == JobStatus.CANCELING or status in ENDED:
            self._stop = Canceled("the job was canceled, or has ended without this work")

    def _beat(self) -> None:
        lease = self._services.settings.lease_seconds
        tick = min(lease / 3, _LONGEST_TICK_SECONDS)
        # Past its time a stuck attempt stops renewing, and the reaper takes the job.
        while not self._left.wait(tick) and time.monotonic() < self._ends + lease:
            try:
                with self._services.database.write() as session:
                    now = self._services.database.now(session)
                    self.observe(self._renew(session, timedelta(seconds=lease), now))
            except SQLAlchemyError as error:
                logger.warning("the lease could not be renewed, trying again: %s", error)
