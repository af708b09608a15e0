"""What the janitor looks for: jobs that nobody will start, finish or ask about any more."""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.orm import Session

from service.contract.jobs import ENDED, JobStatus
from service.contract.tasks import Queue, Task
from service.store.jobs import HELD, Attempt, end_queued, enqueue, lose
from service.store.tables import Job, Masks, Outbox


def expire_queued(session: Session, now: datetime) -> int:
    """End the queued jobs whose deadline has passed; return how many."""
    overdue = session.scalars(
        select(Job.id).where(Job.status == JobStatus.QUEUED, Job.deadline_at <= now)
    ).all()
    return sum(end_queued(session, job_id, JobStatus.EXPIRED, now) for job_id in overdue)


def reap(session: Session, now: datetime, backoff: timedelta) -> int:
    """Take the jobs whose worker fell silent from it: requeue, cancel or fail; return how many."""
    lost = session.scalars(
        select(Job)
        .where(Job.status.in_(HELD), Job.lease_expires_at < now)
        .with_for_update(skip_locked=True)
    ).all()
    for job in lost:
        lose(session, Attempt(job.id, job.attempt), backoff, now)
    return len(lost)


def republish(session: Session, now: datetime, patience: timedelta) -> int:
    """Write a new message for every queued job that nobody has claimed; return how many."""
    waiting = exists().where(Outbox.argument == Job.id)
    stale = session.scalars(
        update(Job)
        .where(
            Job.status == JobStatus.QUEUED,
            Job.run_after <= now - patience,
            or_(Job.published_at.is_(None), Job.published_at <= now - patience),
            ~waiting,
        )
        .values(published_at=now)
        .returning(Job)
    ).all()
    for job in stale:
        enqueue(session, Task.RUN_JOB, job.queue, job.id, now)
    return len(stale)


def remeasure(session: Session, now: datetime, patience: timedelta, most: int) -> int:
    """Ask again for statistics that were asked for and did not come; return how many."""
    waiting = exists().where(Outbox.argument == Masks.digest)
    candidates = session.scalars(
        select(Masks).where(
            Masks.statistics.is_(None), Masks.measure_attempts.between(1, most - 1), ~waiting
        )
    ).all()
    stale = [m for m in candidates if m.created_at <= now - patience * (m.measure_attempts + 1)]
    for masks in stale:
        masks.measure_attempts += 1
        enqueue(session, Task.MEASURE_MASKS, Queue.CPU, masks.digest, now)
    return len(stale)


def forget(session: Session, ended_before: datetime) -> None:
    """Remove jobs that ended before a time; their masks stay."""
    session.execute(delete(Job).where(Job.status.in_(ENDED), Job.finished_at < ended_before))
