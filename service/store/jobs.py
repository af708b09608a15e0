"""Every statement about jobs: each state change is one guarded UPDATE that says whether it won.

::

    queued ──claim──> running ──> succeeded | failed
      │  ^               │ └────> canceling ──> canceled
      │  └──lost lease───┘
      └──> canceled | expired

A worker's writes carry its attempt number: once the job is taken from it, they change nothing.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.contract.errors import WorkerLost
from service.contract.jobs import HELD, JobStatus, main_file
from service.contract.problems import problem_of
from service.logs import about
from service.store import notes, outbox, results, webhooks
from service.store.tables import JobEventRow, JobRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A worker's claim on a job."""

    job_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A job's state, and how many events have led to it."""

    status: JobStatus
    events: int


def new_job_id() -> str:
    """Return a fresh job id."""
    return f"job_{secrets.token_hex(12)}"


def find(session: Session, job_id: str) -> JobRow | None:
    """Return a job, whoever owns it: for workers and the janitor."""
    return session.get(JobRow, job_id)


def standings(session: Session, job_ids: Sequence[str]) -> dict[str, Standing]:
    """Return the states of jobs by id; jobs that are gone are left out."""
    query = select(JobRow.id, JobRow.status, JobRow.events).where(JobRow.id.in_(job_ids))
    rows = session.execute(query)
    return {job_id: Standing(JobStatus(status), events) for job_id, status, events in rows}


def add_event(
    session: Session, job_id: str, event: str, data: dict[str, Any], now: datetime
) -> None:
    """Append an event; the job's row counts them. Webhooks are told of states."""
    seq = session.scalar(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(events=JobRow.events + 1)
        .returning(JobRow.events)
    )
    session.add(JobEventRow(job_id=job_id, seq=seq, event=event, data=data, created_at=now))
    webhooks.announce(session, job_id, data.get("status"), now)


def insert(session: Session, job: JobRow) -> None:
    """Insert a job with the notes of who has made it."""
    session.add(job)
    session.flush()
    notes.add(session, job.id, 0, job.note)


def claim(
    session: Session, job_id: str, owner: str, lease: timedelta, now: datetime
) -> JobRow | None:
    """Take a queued job; None when another worker was first or it is no longer queued."""
    job = session.scalar(
        update(JobRow)
        .where(
            JobRow.id == job_id,
            JobRow.status == JobStatus.QUEUED,
            JobRow.run_after <= now,
            or_(JobRow.deadline_at.is_(None), JobRow.deadline_at > now),
        )
        .values(
            status=JobStatus.RUNNING,
            attempt=JobRow.attempt + 1,
            started_at=now,
            phase="starting",
            completed=0,
            lease_owner=owner,
            lease_expires_at=now + lease,
        )
        .returning(JobRow)
    )
    if job is not None:
        data = {"status": JobStatus.RUNNING, "attempt": job.attempt}
        add_event(session, job_id, "status", data, now)
    return job


def renew(session: Session, attempt: Attempt, lease: timedelta, now: datetime) -> str | None:
    """Extend a lease; return the job's status, or None if the job was taken away."""
    status: str | None = session.scalar(
        _held(attempt).values(lease_expires_at=now + lease).returning(JobRow.status)
    )
    return status


def report(
    session: Session,
    attempt: Attempt,
    phase: str,
    completed: int,
    data: dict[str, Any],
    now: datetime,
) -> str | None:
    """Record progress with its event; return the job's status, or None if it was taken away."""
    status: str | None = session.scalar(
        _held(attempt).values(phase=phase, completed=completed).returning(JobRow.status)
    )
    if status is not None:
        add_event(session, attempt.job_id, "progress", data, now)
    return status


def log(session: Session, attempt: Attempt, data: dict[str, Any], now: datetime) -> None:
    """Record a worker's message about a job that it still holds."""
    held = select(JobRow.id).where(
        JobRow.id == attempt.job_id, JobRow.attempt == attempt.number, JobRow.status.in_(HELD)
    )
    if session.scalar(held) is not None:
        add_event(session, attempt.job_id, "log", data, now)


def succeed(
    session: Session,
    attempt: Attempt,
    digest: str,
    now: datetime,
    failed_gates: list[dict[str, Any]] | None = None,
) -> bool:
    """Close a running job with its masks, which the same transaction has stored."""
    won = _succeed(session, attempt, now, mask_digest=digest, failed_gates=failed_gates)
    if won is None:
        return False
    results.keep_result(session, won.owner_id, won.content_key, digest, now)
    data: dict[str, Any] = {"status": won.status, "digest": digest}
    if failed_gates:
        data |= {"failed_gates": [failed["gate"] for failed in failed_gates]}
    add_event(session, won.id, "status", data, now)
    return True


def finish(session: Session, attempt: Attempt, outcome: dict[str, Any], now: datetime) -> bool:
    """Close a running job with its files, which the same transaction has recorded."""
    won = _succeed(session, attempt, now, outcome=outcome)
    if won is None:
        return False
    # There may be an earlier one whose files are gone.
    results.keep_outcome(session, won.owner_id, won.content_key, outcome, now)
    data = {"status": won.status, "digest": main_file(outcome)["digest"]}
    add_event(session, won.id, "status", data, now)
    return True


def end(
    session: Session,
    attempt: Attempt,
    status: JobStatus,
    error: dict[str, Any] | None,
    now: datetime,
) -> bool:
    """Close a held job as failed or canceled."""
    return _close(session, _held(attempt), status, error, now)


def cancel(session: Session, job_id: str, now: datetime, by: dict[str, Any] | None = None) -> bool:
    """Cancel a queued job, or ask a running one to stop; False when it has ended.

    ``by`` tells who asked, and is kept with the job.
    """
    by = by or {}
    mine = update(JobRow).where(JobRow.id == job_id)
    if end_queued(session, job_id, JobStatus.CANCELED, now, **by):
        session.execute(mine.values(canceled_by=by))
        return True
    asked = session.scalar(
        mine.where(JobRow.status == JobStatus.RUNNING)
        .values(status=JobStatus.CANCELING, canceled_by=by)
        .returning(JobRow.id)
    )
    if asked is not None:
        add_event(session, job_id, "status", {"status": JobStatus.CANCELING} | by, now)
        return True
    return session.scalar(select(JobRow.status).where(JobRow.id == job_id)) in (
        JobStatus.CANCELING,
        JobStatus.CANCELED,
    )


def end_queued(
    session: Session, job_id: str, status: JobStatus, now: datetime, **told: Any
) -> bool:
    """Close a queued job that nobody has started; its message is not sent if it still waits."""
    queued = update(JobRow).where(JobRow.id == job_id, JobRow.status == JobStatus.QUEUED)
    if not _close(session, queued, status, None, now, **told):
        return False
    outbox.withdraw(session, job_id)
    return True


def lose(session: Session, attempt: Attempt, backoff: timedelta, now: datetime) -> None:
    """Take a job from an attempt that ended without an error: requeue, cancel or fail it."""
    job = session.get(JobRow, attempt.job_id)
    if job is None or job.attempt != attempt.number:
        return
    with about(job.request_id, job.id, job.owner_id):
        logger.warning("job %s lost its worker in attempt %d", job.id, job.attempt)
    if job.status == JobStatus.CANCELING:
        end(session, attempt, JobStatus.CANCELED, None, now)
    elif job.attempt >= job.max_attempts:
        detail = f"{job.attempt} workers in a row died without an error while running this job"
        end(session, attempt, JobStatus.FAILED, problem_of(WorkerLost(detail)), now)
    else:
        _requeue(session, attempt, now + backoff * job.attempt, now)


def release(
    session: Session, attempt: Attempt, now: datetime, pause: timedelta = timedelta()
) -> None:
    """Give a running job back, which did not fail: its worker ends, or what it needs is away.

    The attempt does not count. A job that is being canceled ends.
    """
    session.execute(_held(attempt).values(max_attempts=JobRow.max_attempts + 1))
    _requeue(session, attempt, now + pause, now)
    end(session, attempt, JobStatus.CANCELED, None, now)


def _succeed(session: Session, attempt: Attempt, now: datetime, **made: Any) -> JobRow | None:
    """Close a running job; None if it no longer belongs to this attempt, or is canceled."""
    won: JobRow | None = session.scalar(
        _held(attempt)
        .where(JobRow.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.SUCCEEDED,
            phase="done",
            completed=JobRow.total,
            finished_at=now,
            lease_owner=None,
            lease_expires_at=None,
            **made,
        )
        .returning(JobRow)
    )
    return won


def _held(attempt: Attempt) -> Any:
    return update(JobRow).where(
        JobRow.id == attempt.job_id, JobRow.attempt == attempt.number, JobRow.status.in_(HELD)
    )


def asked_by(request_id: str | None) -> dict[str, Any]:
    """Return what an event says of the request that has caused it."""
    return {"request_id": request_id} if request_id else {}


def _close(
    session: Session,
    guarded: Any,
    status: JobStatus,
    error: dict[str, Any] | None,
    now: datetime,
    **told: Any,
) -> bool:
    job_id = session.scalar(
        guarded.values(
            status=status, finished_at=now, error=error, lease_owner=None, lease_expires_at=None
        ).returning(JobRow.id)
    )
    if job_id is None:
        return False
    data = {"status": status} | ({"error": error} if error else {}) | told
    add_event(session, job_id, "status", data, now)
    return True


def _requeue(session: Session, attempt: Attempt, due: datetime, now: datetime) -> None:
    requeued = session.scalar(
        _held(attempt)
        .where(JobRow.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.QUEUED,
            phase="queued",
            run_after=due,
            published_at=None,
            lease_owner=None,
            lease_expires_at=None,
        )
        .returning(JobRow.id)
    )
    if requeued is not None:
        data = {"status": JobStatus.QUEUED, "after_attempt": attempt.number}
        add_event(session, attempt.job_id, "status", data, now)
        outbox.announce(session, [attempt.job_id], due)
