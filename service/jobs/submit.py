"""Get or create: a job is named by what it makes, so equal requests meet in one result."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.errors import NotFound
from raiw.importance.fit import check_header
from raiw.specs.plan import Plan
from raiw.tensors import read_header
from service.contract.errors import Busy
from service.contract.jobs import CraftRequest, JobRequest, JobStatus, JobView, PlanView
from service.contract.tasks import Queue
from service.jobs.services import Services
from service.jobs.views import job_view, plan_view
from service.store import blobs, jobs, masks
from service.store.tables import Job

Outcome = Literal["hit", "joined", "created"]
_RACES = 5


@dataclass(frozen=True, slots=True)
class Submission:
    """A job, and how the request came by it."""

    job: JobView
    outcome: Outcome


def plan(services: Services, request: CraftRequest) -> PlanView:
    """Say what a job would build; nothing is stored."""
    planned = request.spec.plan(scored=request.importance is not None)
    key = request.spec.content_key(request.importance)
    with services.database.read() as session:
        _check_importance(session, request)
        return plan_view(planned, key, stored=jobs.find_result(session, key) is not None)


def submit(services: Services, request: JobRequest) -> Submission:
    """Return the stored result, the job that is already making it, or a new job.

    The job, its first event and its message are one transaction; the broker is not asked.

    Raises
    ------
    InvalidSpec, InvalidImportance
        The request cannot be crafted.
    NotFound
        The importance file has not been uploaded.
    """
    planned = request.spec.plan(scored=request.importance is not None)
    key = request.spec.content_key(request.importance)
    for _ in range(_RACES):
        try:
            with services.database.write() as session:
                _check_importance(session, request)
                submission = _get_or_create(services, session, request, planned, key)
        except IntegrityError:
            continue  # another server inserted the same key first: look again and join it
        if submission.outcome == "created":
            services.wake()
        return submission
    raise Busy(f"the same job was created and ended {_RACES} times meanwhile; try again")


def _check_importance(session: Session, request: CraftRequest) -> None:
    if request.importance is None:
        return
    blob = blobs.find(session, request.importance)
    if blob is None:
        raise NotFound(
            f"importance file {request.importance} has not been uploaded: PUT it to "
            f"/v1/blobs/{request.importance}",
            pointer="/importance",
        )
    check_header(read_header(blob.header, file_size=blob.size), request.spec)


def _get_or_create(
    services: Services, session: Session, request: JobRequest, planned: Plan, key: str
) -> Submission:
    now = services.database.now(session)
    digest = jobs.find_result(session, key)
    if digest is not None:
        job = jobs.find_succeeded(session, key)
        if job is None:
            job = _new_job(services, request, planned, key, now)
            job.status, job.phase, job.completed = JobStatus.SUCCEEDED, "done", job.total
            job.mask_digest, job.finished_at = digest, now
            session.add(job)
            session.flush()
            jobs.add_event(session, job.id, "status", {"status": job.status, "digest": digest}, now)
        return Submission(job_view(job, masks.find(session, digest)), "hit")
    job = jobs.find_active(session, key)
    if job is not None:
        return Submission(job_view(job, None), "joined")
    job = _new_job(services, request, planned, key, now)
    jobs.add(session, job, now)
    return Submission(job_view(job, None), "created")


def _new_job(
    services: Services, request: JobRequest, planned: Plan, key: str, now: datetime
) -> Job:
    return Job(
        id=jobs.new_job_id(),
        kind=request.kind,
        status=JobStatus.QUEUED,
        content_key=key,
        spec=request.spec.canonical(),
        importance=request.importance,
        algorithm=planned.algorithm,
        note=request.metadata,
        queue=Queue.CPU,
        timeout_seconds=request.timeout_seconds or services.settings.job_timeout_seconds,
        max_attempts=services.settings.max_attempts,
        attempt=0,
        phase="queued",
        completed=0,
        total=len(planned.layers),
        events=0,
        created_at=now,
        run_after=now,
        published_at=now,
        deadline_at=request.deadline_at,
    )
