"""How much work waits, counted in the database: right even when queue and workers are stuck."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.contract.jobs import JobStatus
from service.store.tables import BlobRow, JobRow, MasksRow, OutboxRow


@dataclass(frozen=True, slots=True)
class Load:
    """The work at one moment."""

    jobs: dict[JobStatus, int]
    """Jobs by state; every state is there."""
    oldest_queued_seconds: float
    """Age of the job queued longest; 0 if none waits."""
    outbox: int
    """Messages that the broker has not yet taken."""


def measure(session: Session, now: datetime) -> Load:
    """Count."""
    by_status = select(JobRow.status, func.count()).group_by(JobRow.status)
    counted: dict[str, int] = dict(session.execute(by_status).all())
    oldest = session.scalar(
        select(func.min(JobRow.created_at)).where(JobRow.status == JobStatus.QUEUED)
    )
    return Load(
        jobs={status: counted.get(status, 0) for status in JobStatus},
        oldest_queued_seconds=max((now - oldest).total_seconds(), 0.0) if oldest else 0.0,
        outbox=session.scalar(select(func.count()).select_from(OutboxRow)) or 0,
    )


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
