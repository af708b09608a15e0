"""Jobs of every kind but craft, in a process that resumes where the last one was."""

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from raiw.canonical import canonical_json, hex_digits
from raiw.errors import InvalidInput, InvalidTensors
from raiw.files import write_atomically
from raiw.jobs.document import JobDocument
from raiw.jobs.registry import JobKind, find_kind
from service.contract.access import own_key
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.jobs.uploads import verified_upload
from service.store import jobs
from service.store.tables import JobRow
from worker.lease import Lease
from worker.needing import Needs, RunJob
from worker.pool import PoolProcess
from worker.saving import Saving
from worker.stops import Canceled, Failed
from worker.storing import record
from worker.studies import heard
from worker.supervising import Done, Order, Recorder, supervise
from worker.tasks.task import FILE

_HOPELESS = frozenset({InvalidInput.code, InvalidTensors.code})
"""Codes of a damaged checkpoint, or one of another run: no attempt could go on from it."""


def run_task(
    process: PoolProcess,
    job: JobRow,
    document: JobDocument,
    attempt: jobs.Attempt,
    lease: Lease,
    run_job: RunJob,
) -> None:
    """Run a task until it has ended, store its files and close the job.

    An attempt finds what earlier ones have left in the task's folder. A task that needs other jobs
    is run again once they have ended.

    Raises
    ------
    Failed
        The task cannot be done.
    Killed
        Its process was killed.
    Stopped
        It must stop: canceled, out of time, taken away, or the worker ends.
    """
    services = process.services
    services.artifacts.require_space(0)
    folder_key = own_key(services.owner, job.content_key)
    folder = services.artifacts.run(folder_key)
    recorder = Recorder(services, attempt, lease)
    kind = find_kind(job.kind)
    needs = Needs(process, job, lease, recorder, run_job)
    try:
        with Saving(services.artifacts, folder_key, recorder) as saving:
            on_event = heard(services, job.id, saving)
            while True:
                order = _lay_out(services, kind, document, folder, needs.answers)
                done = supervise(process, order, lease.check, on_event)
                if not done.needs:
                    break
                needs.answer(done.needs, done.paths)
    except Failed as failed:
        if failed.problem["code"] in _HOPELESS:
            services.artifacts.end_run(folder_key)
        raise
    _finish(services, attempt, recorder, done, kind.main_file(document))
    services.artifacts.end_run(folder_key)


def _lay_out(
    services: Services,
    kind: JobKind,
    document: JobDocument,
    folder: Path,
    answers: Mapping[str, Any],
) -> Order:
    """Put what the task needs into its folder.

    Raises
    ------
    NotFound, Damaged
        An upload or the masks are gone, or not as they were.
    """
    files = {digest: verified_upload(services, digest) for digest in document.uploads.values()}
    for digest in document.stored_masks.values():
        files[digest] = folder / f"{hex_digits(digest)}.safetensors"
        _write_masks(services, digest, files[digest])
    order = Order(
        "job",
        {digest: str(path) for digest, path in files.items()},
        job=document,
        share={"answers": answers},
        memory_setting=f"{'craft' if kind.queue == 'cpu' else 'task'}_memory_bytes",
        folder=str(folder),
        environment={"OMP_NUM_THREADS": str(services.settings.threads)},
        command=_command(services, kind, folder),
    )
    # Where several processes share the task, each reads it there.
    write_atomically(folder / FILE, [canonical_json(order.document(services)).encode()])
    return order


def _write_masks(services: Services, digest: str, path: Path) -> None:
    file = open_masks(services, digest)
    file.verify()
    write_atomically(path, file.read(0, file.row.size))


def _command(services: Services, kind: JobKind, folder: Path) -> list[str]:
    processes = services.settings.task_processes
    if processes == 1 or not kind.distributed:
        return []
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # -P: what is installed runs, not a source tree that happens to be the current folder.
    return [sys.executable, "-P", "-m", *launcher, "-m", "worker.child", str(folder)]


def _finish(
    services: Services, attempt: jobs.Attempt, recorder: Recorder, done: Done, main: str
) -> None:
    """Store the files, then close the job with them in one transaction.

    Raises
    ------
    Canceled
        The job is no longer this attempt's to close.
    """
    artifacts = services.artifacts
    paths = done.paths
    files: list[dict[str, Any]] = [
        {"name": name, "digest": artifacts.take(path), "bytes": path.stat().st_size}
        for name, path in paths.items()
    ]
    outcome = {"files": files, "main": main, "report": done.report}

    def write(session: Session, now: datetime) -> None:
        for file, path in zip(files, paths.values(), strict=True):
            record(services, session, file["digest"], path, now)
        if not jobs.finish(session, attempt, outcome, now):
            # Taken away, or canceled at the last moment; an end that is not won changes nothing.
            raise Canceled("canceled at the last moment")

    recorder.write(write)
