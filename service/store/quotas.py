"""What owners may have, and what they have.

Whoever adds to what a quota counts locks the owner's row before he counts, in the transaction that
adds: so parallel requests cannot pass it together. The owner's row is locked last, after objects
and jobs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from service.store.tables import ACTIVE, BlobRow, JobRow, OwnerRow, UploadRow

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Most that an owner may have; 0 sets no limit, None in a row is the setting."""

    jobs: int | None = None
    """Queued and running jobs."""
    bytes: int | None = None
    """Bytes of stored files and of uploads under way."""
    cells: int | None = None
    """Possible edges of one job."""
    daily_cells: int | None = None
    """Possible edges of the jobs of any 24 hours."""

    @property
    def counted(self) -> bool:
        """Whether a new job depends on the jobs there are."""
        return bool(self.jobs or self.daily_cells)

    def over(self, defaults: "Quotas") -> "Quotas":
        """Return what holds for an owner who has these of his own."""
        own = {name: limit for name, limit in asdict(self).items() if limit is not None}
        return replace(defaults, **own)


OWN = tuple(getattr(OwnerRow, f"quota_{field.name}") for field in fields(Quotas))
"""The columns of an owner's own quotas, in their order."""


def of(session: Session, owner: str, defaults: Quotas) -> Quotas:
    """Return the quotas of an owner."""
    return Quotas(*session.execute(select(*OWN).where(OwnerRow.id == owner)).one()).over(defaults)


def owners(session: Session) -> Sequence[OwnerRow]:
    """Return all owners by name."""
    return session.scalars(select(OwnerRow).order_by(OwnerRow.name)).all()


def change(session: Session, name: str, **quotas: int | None) -> bool:
    """Set quotas of an owner; False if nobody has that name."""
    named = update(OwnerRow).where(OwnerRow.name == name)
    return session.scalar(named.values(quotas).returning(OwnerRow.id)) is not None


def lock(session: Session, owner: str) -> None:
    """Keep others from adding to what an owner has until the transaction ends."""
    row = select(OwnerRow.id).where(OwnerRow.id == owner)
    session.execute(row.with_for_update(key_share=True))


def count_jobs(session: Session, owner: str) -> int:
    """Count an owner's queued and running jobs."""
    query = select(func.count()).select_from(JobRow).where(ACTIVE, JobRow.owner_id == owner)
    return session.scalar(query) or 0


def count_cells(session: Session, owner: str, now: datetime) -> int:
    """Add up the possible edges of the jobs that an owner has asked for within a day."""
    return int(
        session.scalar(
            select(func.coalesce(func.sum(JobRow.cells), 0)).where(*_of_a_day(owner, now))
        )
        or 0
    )


def free_cells_at(session: Session, owner: str, now: datetime, cells: int) -> datetime:
    """Return when so many possible edges of these jobs will be a day old; they have as many."""
    line = JobRow.created_at, JobRow.id
    freed = func.sum(JobRow.cells).over(order_by=line).label("freed")
    jobs = select(JobRow.created_at, freed).where(*_of_a_day(owner, now)).subquery()
    enough = select(func.min(jobs.c.created_at)).where(jobs.c.freed >= cells)
    oldest: datetime = session.scalars(enough).one()
    return oldest + DAY


def _of_a_day(owner: str, now: datetime) -> list[ColumnElement[bool]]:
    return [JobRow.owner_id == owner, JobRow.created_at > now - DAY]


def count_bytes(session: Session, owner: str, besides: str = "") -> int:
    """Add up an owner's stored files and uploads under way, without those of one digest."""
    stored = select(func.coalesce(func.sum(BlobRow.size), 0)).where(
        BlobRow.owner_id == owner, BlobRow.digest != besides
    )
    is_stored = exists().where(BlobRow.owner_id == owner, BlobRow.digest == UploadRow.digest)
    coming = select(func.coalesce(func.sum(UploadRow.size), 0)).where(
        UploadRow.owner_id == owner, UploadRow.digest != besides, ~is_stored
    )
    return int(session.scalar(stored) or 0) + int(session.scalar(coming) or 0)
