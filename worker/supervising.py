"""Supervision: every kind of work runs in a process of its own, and one way ends them all.

The process is killed, with all that it has started, as soon as ``check`` says that the work must
stop, whatever it is at: a kernel that holds the interpreter's lock for hours asks nobody.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from raiw.jobs.document import JobDocument
from service.jobs.services import Services
from service.store import jobs
from service.store.database import AWAY
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Failed, Killed

logger = logging.getLogger(__name__)

_DATABASE_SECONDS = 1.0
"""Pause before a database that was away is asked again."""

OnEvent = Callable[[str, dict[str, Any]], None]
"""Told of ``progress`` and ``log``, and what there is to tell."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process has to do, and with what."""

    task: str
    """Name of a module in :mod:`worker.tasks`."""
    files: Mapping[str, str]
    """Paths of stored files by digest."""
    job: JobDocument | None = None
    """The document of the job that the task belongs to."""
    share: Mapping[str, Any] = field(default_factory=dict)
    """Which part of it the task is; what it is, where it belongs to no job."""
    memory_setting: str = "craft_memory_bytes"
    """The setting that limits its memory."""
    folder: str = ""
    environment: Mapping[str, str] | None = None
    command: Sequence[str] = ()
    """What the process becomes, if it is not to do the task by itself."""

    def document(self, services: Services) -> dict[str, Any]:
        """Return what :class:`worker.tasks.task.ChildTask` reads."""
        return {
            "task": self.task,
            "job": self.job and self.job.model_dump(mode="json"),
            "share": dict(self.share),
            "files": dict(self.files),
            "folder": self.folder,
            "data_dir": str(services.settings.data),
            "modules": services.settings.modules,
            "memory_bytes": getattr(services.settings, self.memory_setting),
            "memory_setting": self.memory_setting,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What a process has made."""

    report: dict[str, Any]
    files: dict[str, str]
    """Paths by name."""
    content: bytes
    """The bytes of the file that it has handed over, if it did."""
    progress: dict[str, Any] | None
    """What it has to tell besides, to be recorded with the result."""


def supervise(
    process: PoolProcess, order: Order, check: Callable[[], None], on_event: OnEvent
) -> Done:
    """Have a process of its own do something, and return what it has made; it is killed then.

    Parameters
    ----------
    process
        The one that supervises.
    order
        What is to be done.
    check
        Called several times a second; the process is killed when it raises.
    on_event
        Told what the process tells.

    Raises
    ------
    Failed
        It says why it has no result.
    Killed
        It was killed.
    """
    fork = process.forks.fork(
        order.document(process.services),
        environment=order.environment or {},
        command=order.command,
    )
    with fork:
        for message, content in fork.messages(check):
            event = message.pop("event")
            if event == "failed":
                raise Failed(message["error"]["detail"], problem=message["error"])
            if event == "done":
                files, progress = message.get("files", {}), message.get("progress")
                return Done(message["report"], files, content, progress)
            on_event(event, message)
    raise Killed("its process ended without a word")


class Recorder:
    """Writes down what the process of an attempt tells."""

    def __init__(self, services: Services, attempt: jobs.Attempt, lease: Lease) -> None:
        self._services = services
        self._attempt = attempt
        self._lease = lease

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        """Record an event, and learn whether the job is still wanted."""

        def write(session: Session, now: datetime) -> None:
            if event == "log":
                jobs.log(session, self._attempt, data, now)
            else:
                phase, completed = data["phase"], data["completed"]
                status = jobs.report(session, self._attempt, phase, completed, data, now)
                self._lease.observe(status)

        self.write(write)

    def write(self, write: Callable[[Session, datetime], None]) -> None:
        """Write to the database once it answers: hours of work outlast its restart.

        Raises
        ------
        Stopped
            The work must stop meanwhile.
        """
        while True:
            try:
                with self._services.database.write() as session:
                    write(session, self._services.database.now(session))
                    return
            except AWAY as error:
                logger.warning("the database does not answer, trying again: %s", error)
                time.sleep(_DATABASE_SECONDS)
                self._lease.check()
