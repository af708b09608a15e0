"""What owners may have, and what they have.

Whoever adds to what a quota counts locks the owner's row before he counts, in the transaction that
adds: so parallel requests cannot pass it together. The owner's row is locked last, after objects
and jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from service.store.tables import ACTIVE, BlobRow, JobRow, OwnerRow, UploadRow


@dataclass(frozen=True, slots=True)
class Quotas:
    """Most that an owner may have; 0 sets no limit, None in a row is the setting."""

    jobs: int | None = None
    """Queued and running jobs."""
    bytes: int | None = None
    """Bytes of stored files and of uploads under way."""
    cells: int | None = None
    """Possible edges of one job."""


def of(session: Session, owner: str, defaults: Quotas) -> Quotas:
    """Return the quotas of an owner."""
    columns = OwnerRow.quota_jobs, OwnerRow.quota_bytes, OwnerRow.quota_cells
    row = session.execute(select(*columns).where(OwnerRow.id == owner)).one()
    own = Quotas(*row)
    return Quotas(
        jobs=defaults.jobs if own.jobs is None else own.jobs,
        bytes=defaults.bytes if own.bytes is None else own.bytes,
        cells=defaults.cells if own.cells is None else own.cells,
    )


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
