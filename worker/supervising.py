"""Supervision: every kind of work runs in a process of its own, and one way ends them all.

The process is killed, with everything it has started, as soon as ``check`` says that the work must
stop, whatever it is doing: a kernel that holds the interpreter's lock for hours checks nothing.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from raiw.jobs.document import JobDocument
from service.jobs.services import Services
from service.logs import job_id, owner, request_id
from service.store import jobs
from service.store.database import AWAY
from service.tracing import TRACING
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Failed, Killed

logger = logging.getLogger(__name__)

_DATABASE_SECONDS = 1.0
"""Pause before a database that was away is asked again."""

OnEvent = Callable[[str, dict[str, Any]], None]
"""Called with ``progress`` or ``log``, and the details."""


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
    """Which part of the job the task is; a full description if it belongs to no job."""
    memory_setting: str = "craft_memory_bytes"
    """The setting that limits its memory."""
    folder: str = ""
    environment: Mapping[str, str] | None = None
    command: Sequence[str] = ()
    """The command that the process becomes, if it does not do the task itself."""

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
            "log": [services.settings.log_level, services.settings.log_format],
            "about": [request_id.get(), job_id.get(), owner.get()],
        }


@dataclass(frozen=True, slots=True)
class Done:
    """What a process has made."""

    report: dict[str, Any]
    files: dict[str, str]
    """Paths by name."""
    content: bytes
    """The bytes of the file that it has handed over, if any."""
    progress: dict[str, Any] | None
    """Progress to be recorded with the result."""
    needs: list[dict[str, Any]]
    """Documents of the jobs without which there is no result yet; they name the files."""

    @property
    def paths(self) -> dict[str, Path]:
        """The files by name."""
        return {name: Path(path) for name, path in self.files.items()}


def supervise(
    process: PoolProcess, order: Order, check: Callable[[], None], on_event: OnEvent
) -> Done:
    """Run an order in a process of its own, kill the process, and return what it has made.

    Parameters
    ----------
    process
        The one to use.
    order
        What is to be done.
    check
        Called several times a second; the process is killed when it raises.
    on_event
        Called with what the process reports.

    Raises
    ------
    Failed
        The process says why it has no result.
    Killed
        It was killed.
    """
    fork = process.forks.fork(
        order.document(process.services),
        environment=order.environment or {},
        command=order.command,
    )
    with TRACING.span(f"process {order.task}"), fork:
        for message, content in fork.messages(check):
            event = message.pop("event")
            if event == "failed":
                raise Failed(message["error"]["detail"], problem=message["error"])
            if event == "done":
                files, progress = message.get("files", {}), message.get("progress")
                needs = message.get("needs", [])
                return Done(message["report"], files, content, progress, needs)
            on_event(event, message)
    raise Killed("its process ended without an error")


class Recorder:
    """Records what the process of an attempt reports."""

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
