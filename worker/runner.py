"""Running a job: claim it, let its kind's runner do it, close it once."""

import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from raiw.errors import RaiwError
from raiw.jobs.registry import find_kind
from service.contract.errors import ObjectsAway
from service.contract.jobs import JobStatus
from service.contract.problems import problem_of
from service.jobs.asked import document_of
from service.jobs.services import Services
from service.logs import about
from service.store import jobs
from service.store.database import AWAY
from service.store.tables import JobRow
from service.tracing import TRACING
from worker.crafting import run_craft
from worker.lease import Lease
from worker.networks import run_task
from worker.pool import PoolProcess
from worker.problems import INTERNAL, without_paths
from worker.stops import Canceled, Failed, Killed, Lost, ShuttingDown
from worker.units import SharedJob

logger = logging.getLogger(__name__)

_BACKOFF = timedelta(seconds=1)
"""Pause after the first attempt that was killed; it grows with each further one."""
_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
"""Pause after an attempt that found the object store away, for each attempt so far, and at most."""


def _unguarded() -> None:
    return


def run_job(process: PoolProcess, job_id: str, guard: Callable[[], None] = _unguarded) -> None:
    """Run a queued job; do nothing when another worker has it or it is over.

    Once the worker is asked to end, the job is given back. ``guard`` is called several times a
    second, and raises when the job must stop for a reason outside of it.
    """
    services = process.services
    owner = f"{socket.gethostname()}:{os.getpid()}"
    lease_time = timedelta(seconds=services.settings.lease_seconds)
    with services.database.write() as session:
        now = services.database.now(session)
        job = jobs.claim(session, job_id, owner, lease_time, now)
    if job is None:
        logger.info("job %s cannot be claimed: another worker was first, or it is over", job_id)
        return
    with (
        about(job.request_id, job.id, job.owner_id),
        TRACING.span(
            f"run {job.kind}", job.traceparent, job_id=job.id, attempt=job.attempt, queue=job.queue
        ),
    ):
        _run_claimed(process.on_behalf_of(job.owner_id), job, guard)


def _run_claimed(process: PoolProcess, job: JobRow, guard: Callable[[], None]) -> None:
    attempt = jobs.Attempt(job.id, job.attempt)
    steps = find_kind(job.kind).steps
    logger.info("job %s, attempt %d: %d %s", job.id, job.attempt, job.total, steps)

    def renew(session: Session, extension: timedelta, now: datetime) -> str | None:
        return jobs.renew(session, attempt, extension, now)

    with Lease(process, renew, job.timeout_seconds, guard) as lease:
        _run_attempt(process, job, attempt, lease)


def assist_job(process: PoolProcess, job_id: str) -> None:
    """Help the worker that runs a large job; do nothing if the job is over."""
    with process.services.database.read() as session:
        job = jobs.find(session, job_id)
    if job is None or job.status != JobStatus.RUNNING:
        return
    with (
        about(job.request_id, job.id, job.owner_id),
        TRACING.span(f"assist {job.kind}", job.traceparent, job_id=job.id),
    ):
        try:
            document = document_of(process.services.database, job)
            shared = SharedJob.of(process.on_behalf_of(job.owner_id), job, document)
        except RaiwError as error:
            logger.warning("no help for job %s from here: %s", job_id, error)
        else:
            shared.assist()


def _run_attempt(process: PoolProcess, job: JobRow, attempt: jobs.Attempt, lease: Lease) -> None:
    services = process.services
    try:
        document = document_of(services.database, job)
        if find_kind(job.kind).module is None:
            run_craft(process, job, document, attempt, lease)
        else:
            run_task(process, job, document, attempt, lease, run_job)
        TRACING.note(status=JobStatus.SUCCEEDED)
    except (Lost, *AWAY) as reason:
        # Without a database nothing can be written: the reaper takes the job once its lease ends.
        logger.warning("job %s, attempt %d writes nothing: %s", job.id, attempt.number, reason)
    except ShuttingDown:
        logger.info("job %s goes back to the queue: this worker ends", job.id)
        with services.database.write() as session:
            jobs.release(session, attempt, services.database.now(session))
    except Killed:
        logger.warning("the process of job %s was killed", job.id)
        with services.database.write() as session:
            jobs.lose(session, attempt, _BACKOFF, services.database.now(session))
    except ObjectsAway as reason:
        logger.warning("job %s goes back to the queue: %s", job.id, reason)
        pause = min(_PAUSE * job.attempt, _LONGEST_PAUSE)
        with services.database.write() as session:
            now = services.database.now(session)
            jobs.log(session, attempt, {"message": f"{reason}; the job waits"}, now)
            jobs.release(session, attempt, now, pause)
    except Canceled:
        _end(services, attempt, JobStatus.CANCELED, None)
    except Failed as failed:
        _end(services, attempt, JobStatus.FAILED, failed.problem)
    except RaiwError as error:
        _end(services, attempt, JobStatus.FAILED, problem_of(error))
    except Exception:
        # The exception's text may contain anything: it goes to the log, the client gets a code.
        logger.exception("job %s failed because of a defect", job.id)
        _end(services, attempt, JobStatus.FAILED, INTERNAL)


def _end(
    services: Services, attempt: jobs.Attempt, status: JobStatus, error: dict[str, Any] | None
) -> None:
    TRACING.note(status=status, error=error and error["code"])
    if error is not None:
        error = without_paths(error, services.settings)
    with services.database.write() as session:
        jobs.end(session, attempt, status, error, services.database.now(session))
