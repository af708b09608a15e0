"""How much work waits, counted in the database: right even when queue and workers are stuck."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from service.contract.jobs import HELD, JobStatus
from service.contract.tasks import Queue
from service.store.tables import BlobRow, JobRow, MasksRow, OutboxRow
from service.store.webhook_tables import WAITING, DeliveryRow, WebhookRow


@dataclass(frozen=True, slots=True)
class Waiting:
    """Things that wait."""

    count: int = 0
    oldest_seconds: float = 0.0
    """Age of the one that waits longest; 0 if none does."""


@dataclass(frozen=True, slots=True)
class Load:
    """The work at one moment."""

    jobs: dict[JobStatus, int]
    """Jobs by state; every state is there."""
    queues: dict[Queue, Waiting]
    """Queued jobs by queue; every queue is there."""
    leases: int
    """Jobs that a worker holds."""
    overdue: int
    """Of these, those whose worker is silent."""
    outbox: int
    """Messages that the broker has not yet taken."""
    deliveries: Waiting
    """What waits for webhooks, of those that are enabled."""
    disabled_webhooks: int

    @property
    def oldest_queued_seconds(self) -> float:
        """Age of the job queued longest; 0 if none waits."""
        return max(waiting.oldest_seconds for waiting in self.queues.values())


def measure(session: Session, now: datetime) -> Load:
    """Count."""
    by_status = select(JobRow.status, func.count()).group_by(JobRow.status)
    counted: dict[str, int] = dict(session.execute(by_status).all())
    silent = func.sum(case((JobRow.lease_expires_at < now, 1), else_=0))
    held = select(func.count(), func.coalesce(silent, 0)).where(JobRow.status.in_(HELD))
    leases, overdue = session.execute(held).one()
    disabled = select(func.count()).where(WebhookRow.disabled_reason.is_not(None))
    return Load(
        jobs={status: counted.get(status, 0) for status in JobStatus},
        queues=_queues(session, now),
        leases=leases,
        overdue=overdue,
        outbox=session.scalar(select(func.count()).select_from(OutboxRow)) or 0,
        deliveries=_deliveries(session, now),
        disabled_webhooks=session.scalar(disabled) or 0,
    )


def _queues(session: Session, now: datetime) -> dict[Queue, Waiting]:
    rows = session.execute(
        select(JobRow.queue, func.count(), func.min(JobRow.created_at))
        .where(JobRow.status == JobStatus.QUEUED)
        .group_by(JobRow.queue)
    ).all()
    waiting = {queue: _waiting(count, oldest, now) for queue, count, oldest in rows}
    return {queue: waiting.get(queue, Waiting()) for queue in Queue}


def _deliveries(session: Session, now: datetime) -> Waiting:
    pending = (
        select(func.count(), func.min(DeliveryRow.since))
        .join(WebhookRow)
        .where(WAITING, WebhookRow.disabled_reason.is_(None))
    )
    return _waiting(*session.execute(pending).one(), now)


def _waiting(count: int, oldest: datetime | None, now: datetime) -> Waiting:
    return Waiting(count, max((now - oldest).total_seconds(), 0.0) if oldest else 0.0)


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended."""

    id: str
    kind: str
    queue: str
    status: str
    attempt: int
    """0 where its result was stored already."""
    created_at: datetime
    started_at: datetime | None
    """Of its last attempt."""
    finished_at: datetime


def ended(session: Session, after: datetime, most: int) -> list[Ended]:
    """Return jobs that ended after a time, up to a number of them, in the order of their ends."""
    columns = (getattr(JobRow, field.name) for field in fields(Ended))
    query = select(*columns).where(JobRow.finished_at > after).order_by(JobRow.finished_at)
    return [Ended(*row) for row in session.execute(query.limit(most))]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is stored."""

    masks: int
    mask_bytes: int
    blobs: int
    blob_bytes: int


def count_kept(session: Session) -> Holdings:
    """Count what is stored, and its bytes."""
    masks = select(func.count(), func.coalesce(func.sum(MasksRow.size), 0))
    masks = masks.where(MasksRow.removed_at.is_(None))
    blobs = select(func.count(), func.coalesce(func.sum(BlobRow.size), 0))
    numbers = [*session.execute(masks).one(), *session.execute(blobs).one()]
    return Holdings(*map(int, numbers))
