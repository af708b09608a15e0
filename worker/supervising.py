"""A task in a process of its own, watched: its events recorded, its end enforced."""

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from sqlalchemy.orm import Session

from raiw.canonical import canonical_json
from raiw.errors import InvalidInput, InvalidTensors
from raiw.files import write_atomically
from raiw.jobs.document import JobDocument
from raiw.jobs.registry import Kind, find_kind
from raiw.tensors import MAX_HEADER_BYTES, header_end
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.jobs.uploads import verified_upload
from service.store import blobs, jobs, requests
from service.store.database import AWAY
from service.store.tables import Blob, Job
from service.tether import tied
from worker.child import MEMORY_VARIABLE
from worker.lease import Canceled, Lease
from worker.tasks.task import FILE

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.2
_DATABASE_SECONDS = 1.0
"""Pause before a database that was away is asked again."""
_HOPELESS = frozenset({InvalidInput.code, InvalidTensors.code})
"""Codes of a damaged checkpoint, or one of another run: no attempt could go on from it."""


class Killed(Exception):
    """The task's process was killed, by the kernel for its memory or by somebody."""


class Failed(Exception):
    """The task says why it has no result."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


def run_task(services: Services, job: Job, attempt: jobs.Attempt, lease: Lease) -> None:
    """Run a task until it has ended, store its files and close the job.

    An attempt finds what those before it have left in the task's folder.

    Raises
    ------
    Failed
        The task cannot be done.
    Killed
        Its process was killed.
    Stopped
        It must stop: canceled, out of time, taken away, or the worker ends.
    """
    services.artifacts.require_space(0)
    folder, kind = services.artifacts.run(job.content_key), find_kind(job.kind)
    document = kind.document.parse(requests.read(services.database, job.id))
    _write_task(services, document, folder)
    for message in _messages(services, kind, folder, lease):
        event = message.pop("event")
        if event == "failed":
            if message["error"]["code"] in _HOPELESS:
                shutil.rmtree(folder, ignore_errors=True)
            raise Failed(message["error"])
        if event == "done":
            _finish(services, attempt, lease, message, kind.main_file(document))
            shutil.rmtree(folder, ignore_errors=True)
            return
        _record(services, attempt, lease, event, message)
    raise Killed


def _write_task(services: Services, document: JobDocument, folder: Path) -> None:
    """Lay out what the task needs in its folder.

    Raises
    ------
    NotFound, Damaged
        An upload or the masks are gone, or not as they were.
    """
    files = {digest: verified_upload(services, digest) for digest in document.uploads.values()}
    for digest in document.stored_masks.values():
        files[digest] = folder / f"{digest.removeprefix('sha256:')}.safetensors"
        _write_masks(services, digest, files[digest])
    task = {
        "request": document.model_dump(mode="json"),
        "files": {digest: str(path) for digest, path in files.items()},
        "data_dir": str(services.settings.data),
    }
    write_atomically(folder / FILE, [canonical_json(task).encode()])


def _write_masks(services: Services, digest: str, path: Path) -> None:
    file = open_masks(services, digest)
    file.verify()
    write_atomically(path, file.read(0, file.row.size))


def _messages(
    services: Services, kind: Kind, folder: Path, lease: Lease
) -> Iterator[dict[str, Any]]:
    """Yield what the task's process tells, until it ends; however this ends, it is gone then."""
    process = subprocess.Popen(  # noqa: S603 -- the command is ours
        tied(*_command(services, kind, folder)),
        env=os.environ | _environment(services),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None  # noqa: S101 -- asked for above
    threading.Thread(target=_listen, args=(process.stdout, lines), daemon=True).start()
    try:
        while True:
            lease.check()
            try:
                line = lines.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                return
            yield json.loads(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _command(services: Services, kind: Kind, folder: Path) -> list[str]:
    # -P: what is installed runs, not a source tree that happens to be the current folder.
    python, module = [sys.executable, "-P", "-m"], ["worker.child", str(folder)]
    processes = services.settings.task_processes
    if processes == 1 or not kind.distributed:
        return [*python, *module]
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return [*python, *launcher, *module]


def _environment(services: Services) -> dict[str, str]:
    settings = services.settings
    shared = max(
        1, (os.cpu_count() or 1) // (settings.worker_concurrency * settings.task_processes)
    )
    return {
        "OMP_NUM_THREADS": str(settings.task_threads or shared),
        MEMORY_VARIABLE: str(settings.task_memory_bytes),
    }


def _listen(output: IO[str], lines: "queue.Queue[str | None]") -> None:
    with output:
        for line in output:
            lines.put(line)
    lines.put(None)


def _record(
    services: Services, attempt: jobs.Attempt, lease: Lease, event: str, data: dict[str, Any]
) -> None:
    def write(session: Session, now: datetime) -> None:
        if event == "log":
            jobs.log(session, attempt, data, now)
        else:
            phase, completed = data["phase"], data["completed"]
            lease.observe(jobs.report(session, attempt, phase, completed, data, now))

    _write(services, lease, write)


def _write(services: Services, lease: Lease, write: Callable[[Session, datetime], None]) -> None:
    """Write to the database once it answers: hours of work outlast its restart.

    Raises
    ------
    Stopped
        The work must stop meanwhile.
    """
    while True:
        try:
            with services.database.write() as session:
                write(session, services.database.now(session))
                return
        except AWAY as error:
            logger.warning("the database does not answer, trying again: %s", error)
            time.sleep(_DATABASE_SECONDS)
            lease.check()


def _finish(
    services: Services, attempt: jobs.Attempt, lease: Lease, message: dict[str, Any], main: str
) -> None:
    """Store the files, then close the job with them in one transaction.

    Raises
    ------
    Canceled
        The job is no longer this attempt's to close.
    """
    artifacts = services.artifacts
    paths = {name: Path(path) for name, path in message["files"].items()}
    files = [
        {"name": name, "digest": artifacts.take(path), "bytes": path.stat().st_size}
        for name, path in paths.items()
    ]
    outcome = {"files": files, "main": main, "report": message["report"]}

    def write(session: Session, now: datetime) -> None:
        for file, path in zip(files, paths.values(), strict=True):
            blob = Blob(digest=file["digest"], size=file["bytes"], header=_header(path))
            blob.created_at = blob.used_at = now
            blobs.add(session, artifacts, blob, partial(artifacts.link, path, blob.digest))
        if not jobs.finish(session, attempt, outcome, now):
            # Taken away, or canceled at the last moment; an end that is not won changes nothing.
            raise Canceled("canceled at the last moment")

    _write(services, lease, write)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES + 8)
    return start[: header_end(start)]
