"""Craft jobs: in one process, or in units with the help of other workers."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from raiw.errors import NotFound
from raiw.jobs.document import JobDocument
from service.jobs.services import Services
from service.jobs.stored import StoredFile, open_masks
from service.store import jobs, masks, results, sharing
from service.store.tables import JobRow
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Canceled
from worker.supervising import Done, Recorder, supervise
from worker.units import SharedJob


def run_craft(
    process: PoolProcess, job: JobRow, document: JobDocument, attempt: jobs.Attempt, lease: Lease
) -> None:
    """Craft the masks of a job, store them and close it.

    Raises
    ------
    Failed
        The masks cannot be crafted.
    Killed
        The process that crafts was killed.
    Stopped
        It must stop: canceled, out of time, taken away, or the worker ends.
    """
    services = process.services
    shared, recorder = SharedJob.of(process, job, document), Recorder(services, attempt, lease)
    if (stored := _stored(services, job)) is not None:
        _judge(shared, stored, attempt, lease, recorder)
        return
    if shared.is_large:
        done = shared.craft(lease.check, recorder)
    else:
        done = supervise(process, shared.order("craft"), lease.check, recorder)
    _store(services, attempt, recorder, done)


def _stored(services: Services, job: JobRow) -> StoredFile | None:
    """Return the masks of a job whose key has led to some before: only its gates are new."""
    owner, key = services.owner, job.content_key
    with services.database.read() as session:
        digest = results.find_result(session, owner, key)
    if digest is None and services.settings.shares:
        with services.database.write() as session:
            now = services.database.now(session)
            adopted = sharing.adopt_masks(session, services.artifacts, owner, key, now)
            digest = adopted.digest if adopted else None
    if digest is None:
        return None
    try:
        stored = open_masks(services, digest)
        stored.verify()
    except NotFound:  # removed or damaged: they are crafted again
        return None
    return stored


def _judge(
    shared: SharedJob, stored: StoredFile, attempt: jobs.Attempt, lease: Lease, recorder: Recorder
) -> None:
    """Hold stored masks against the gates of a job, and close it.

    Raises
    ------
    Canceled
        The job is no longer this attempt's to close.
    """
    digest = stored.row.digest
    with stored.laid_out() as path:
        order = shared.order("gates", masks=digest)
        order = replace(order, files={**order.files, digest: str(path)})
        done = supervise(shared.process, order, lease.check, recorder)

    def write(session: Session, now: datetime) -> None:
        if not jobs.succeed(session, attempt, digest, now, done.report["failed_gates"]):
            raise Canceled("canceled at the last moment")

    recorder.write(write)


def _store(services: Services, attempt: jobs.Attempt, recorder: Recorder, done: Done) -> None:
    """Store the masks and close the job, in one transaction that fails if the lease is lost.

    Raises
    ------
    Canceled
        The job is no longer this attempt's to close.
    DiskFull
        The masks would take the disk below the space that must stay free.
    """
    services.artifacts.require_space(len(done.content))
    document, failed = done.report["document"], done.report["failed_gates"]
    most, digest = services.settings.masks_in_database_bytes, document["digest"]
    if len(done.content) > most:
        services.artifacts.put(done.content)  # before the transaction, for which others wait

    def write(session: Session, now: datetime) -> None:
        masks.add(
            session,
            services.artifacts,
            owner=services.owner,
            digest=digest,
            file=done.content,
            document=document,
            in_database_bytes=most,
            now=now,
        )
        if (last := done.progress) is not None:
            jobs.report(session, attempt, last["phase"], last["completed"], last, now)
        if not jobs.succeed(session, attempt, digest, now, failed):
            # Taken away, or canceled at the last moment; an end that is not won changes nothing.
            raise Canceled("canceled at the last moment")

    recorder.write(write)
