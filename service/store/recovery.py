"""What the janitor looks for: jobs that nobody will start, finish or ask about again.

Every statement is guarded, so that any number of janitors may do the same at once; each takes some
rows at a time, so that others may write in between.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from service.contract.access import own_key
from service.contract.jobs import ENDED, HELD, JobStatus
from service.contract.tasks import Queue
from service.store import outbox, requests
from service.store.jobs import Attempt, end_queued, lose
from service.store.tables import ASKED, PUBLISHED, JobRow, MasksRow, OutboxRow

BATCH = 500
"""Most rows that one transaction handles."""


def is_overdue(session: Session, now: datetime) -> bool:
    """Whether a job has lost its worker or missed its deadline."""
    overdue = or_(_expired(now).exists(), _silent(now).exists())
    return bool(session.scalar(select(overdue)))


def expire_queued(session: Session, now: datetime) -> int:
    """End queued jobs whose deadline has passed; return how many."""
    overdue = session.scalars(
        _expired(now).order_by(JobRow.id).limit(BATCH).with_for_update(skip_locked=True)
    ).all()
    return sum(end_queued(session, job_id, JobStatus.EXPIRED, now) for job_id in overdue)


def reap(session: Session, now: datetime, backoff: timedelta) -> int:
    """Take jobs from workers that fell silent: requeue, cancel or fail them; return how many."""
    silent = session.execute(
        _silent(now).add_columns(JobRow.attempt).limit(BATCH).with_for_update(skip_locked=True)
    ).all()
    for job_id, attempt in silent:
        lose(session, Attempt(job_id, attempt), backoff, now)
    return len(silent)


def published(session: Session, queue: Queue, before: datetime) -> Sequence[str]:
    """Return jobs whose message was published before a time and that nobody has claimed."""
    return session.scalars(
        _published(before).where(JobRow.queue == queue).order_by(JobRow.published_at).limit(BATCH)
    ).all()


def publish_again(
    session: Session, job_ids: Collection[str], before: datetime, now: datetime
) -> int:
    """Write new messages for those of the jobs that still wait; return how many."""
    waiting = session.scalars(
        _published(before)
        .where(JobRow.id.in_(job_ids))
        .order_by(JobRow.published_at)
        .with_for_update(skip_locked=True)
    ).all()
    session.execute(update(JobRow).where(JobRow.id.in_(waiting)).values(published_at=None))
    outbox.announce(session, waiting, now)
    return len(waiting)


def unfinished_keys(session: Session) -> list[str]:
    """Return the content keys of the jobs that have not ended, each as only its owner has it."""
    query = select(JobRow.owner_id, JobRow.content_key).where(JobRow.status.not_in(ENDED))
    return [own_key(owner, key) for owner, key in session.execute(query)]


def remeasure(session: Session, now: datetime, patience: timedelta, most: int) -> int:
    """Ask again for statistics that were requested but never came; return how many."""
    told = exists().where(OutboxRow.argument == MasksRow.digest)
    candidates = session.execute(
        select(
            MasksRow.digest, MasksRow.owner_id, MasksRow.created_at, MasksRow.measure_attempts
        ).where(ASKED, MasksRow.measure_attempts < most, ~told)
    )
    stale = {
        digest: owner
        for digest, owner, created_at, attempts in candidates
        if created_at <= now - patience * (attempts + 1)
    }
    again = update(MasksRow).where(MasksRow.digest.in_(stale), ASKED)
    session.execute(again.values(measure_attempts=MasksRow.measure_attempts + 1))
    for digest, owner in sorted(stale.items()):
        outbox.measure(session, owner, digest, now)
    return len(stale)


def forget(session: Session, ended_before: datetime, most: int = BATCH) -> int:
    """Remove jobs that ended before a time, with requests of theirs alone; return how many.

    Their masks stay.
    """
    old = select(JobRow.id).where(JobRow.finished_at < ended_before).limit(most)
    removed = delete(JobRow).where(JobRow.id.in_(old)).returning(JobRow.request)
    asked = session.scalars(removed, execution_options={"synchronize_session": False}).all()
    requests.forget(session, list(set(asked)))
    return len(asked)


def _expired(now: datetime) -> Select[str]:
    return select(JobRow.id).where(JobRow.status == JobStatus.QUEUED, JobRow.deadline_at <= now)


def _silent(now: datetime) -> Select[str]:
    return select(JobRow.id).where(JobRow.status.in_(HELD), JobRow.lease_expires_at < now)


def _published(before: datetime) -> Select[str]:
    return select(JobRow.id).where(PUBLISHED, JobRow.published_at <= before)
