"""Running a job: claim it, have its kind's runner do it, close it once."""

import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from raiw.errors import RaiwError
from service.contract.jobs import JobStatus
from service.contract.problems import problem_of
from service.jobs.services import Services
from service.logs import about
from service.store import jobs
from service.store.database import AWAY
from service.store.tables import Job
from worker.crafting import run_craft
from worker.lease import Canceled, Lease, Lost, ShuttingDown
from worker.problems import INTERNAL, OUT_OF_MEMORY
from worker.supervising import Failed, Killed, run_task
from worker.units import SharedJob

logger = logging.getLogger(__name__)

_BACKOFF = timedelta(seconds=1)
"""Pause after the first attempt that was killed; it grows with their number."""


def run_job(services: Services, job_id: str, stopping: Callable[[], bool]) -> None:
    """Run a queued job; do nothing when another worker has it or it is over.

    Once ``stopping()`` holds, the job is given back before its next layer.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    lease_time = timedelta(seconds=services.settings.lease_seconds)
    with services.database.write() as session:
        now = services.database.now(session)
        job = jobs.claim(session, job_id, owner, lease_time, now)
    if job is None:
        logger.info("job %s is not to be had: another worker was first, or it is over", job_id)
        return
    with about(job.request_id):
        _run_claimed(services, job, stopping)


def _run_claimed(services: Services, job: Job, stopping: Callable[[], bool]) -> None:
    attempt = jobs.Attempt(job.id, job.attempt)
    logger.info("job %s, attempt %d: %d layers", job.id, job.attempt, job.total)

    def renew(session: Session, extension: timedelta, now: datetime) -> str | None:
        return jobs.renew(session, attempt, extension, now)

    with Lease(services, renew, job.timeout_seconds, stopping) as lease:
        _run_attempt(services, job, attempt, lease, stopping)


def assist_job(services: Services, job_id: str, stopping: Callable[[], bool]) -> None:
    """Help the worker that runs a large job; do nothing when it is over."""
    with services.database.read() as session:
        job = jobs.find(session, job_id)
    if job is not None and job.status == JobStatus.RUNNING:
        with about(job.request_id):
            SharedJob.of(services, job, stopping).assist()


def _run_attempt(
    services: Services,
    job: Job,
    attempt: jobs.Attempt,
    lease: Lease,
    stopping: Callable[[], bool],
) -> None:
    try:
        if job.kind == "craft":
            run_craft(services, job, attempt, lease, stopping)
        else:
            run_task(services, job, attempt, lease)
    except (Lost, *AWAY) as reason:
        # Without a database nothing can be written: the reaper takes the job once its lease ends.
        logger.warning("job %s, attempt %d writes nothing: %s", job.id, attempt.number, reason)
    except ShuttingDown:
        logger.info("job %s goes back to the queue: this worker ends", job.id)
        with services.database.write() as session:
            jobs.release(session, attempt, job.queue, services.database.now(session))
    except Killed:
        logger.warning("the process of job %s was killed", job.id)
        with services.database.write() as session:
            jobs.lose(session, attempt, _BACKOFF, services.database.now(session))
    except Canceled:
        _end(services, attempt, JobStatus.CANCELED, None)
    except Failed as failed:
        _end(services, attempt, JobStatus.FAILED, failed.problem)
    except RaiwError as error:
        _end(services, attempt, JobStatus.FAILED, problem_of(error))
    except MemoryError:
        _end(services, attempt, JobStatus.FAILED, OUT_OF_MEMORY)
    except Exception:
        # What the exception says may hold anything; the log has it, the client a stable code.
        logger.exception("job %s failed by a defect", job.id)
        _end(services, attempt, JobStatus.FAILED, INTERNAL)


def _end(
    services: Services, attempt: jobs.Attempt, status: JobStatus, error: dict[str, Any] | None
) -> None:
    with services.database.write() as session:
        jobs.end(session, attempt, status, error, services.database.now(session))
