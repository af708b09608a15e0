"""Craft jobs: in one process, or in units with the help of other workers."""

from typing import Any

from service.jobs.services import Services
from service.store import jobs, masks
from service.store.tables import Job
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Canceled
from worker.supervising import Recorder, supervise
from worker.units import SharedJob


def run_craft(process: PoolProcess, job: Job, attempt: jobs.Attempt, lease: Lease) -> None:
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
    shared, recorder = SharedJob.of(process, job), Recorder(services, attempt, lease)
    if len(shared.units) > 1:
        done = shared.craft(lease.check, recorder)
    else:
        done = supervise(process, shared.order("craft"), lease.check, recorder)
    _store(services, attempt, done.content, done.report)


def _store(
    services: Services, attempt: jobs.Attempt, file: bytes, document: dict[str, Any]
) -> None:
    """Store the masks and close the job, in one transaction that a lost lease refuses."""
    if len(file) > services.settings.masks_in_database_bytes:
        services.artifacts.put(file)  # before the transaction: it takes seconds, others wait
    with services.database.write() as session:
        now = services.database.now(session)
        masks.add(
            session,
            services.artifacts,
            digest=document["digest"],
            file=file,
            document=document,
            in_database_bytes=services.settings.masks_in_database_bytes,
            now=now,
        )
        won = jobs.succeed(session, attempt, document["digest"], now)
        if not won:
            # Canceled or taken away at the last moment; an unwon end changes nothing.
            session.rollback()
    if not won:
        raise Canceled("canceled at the last moment")
