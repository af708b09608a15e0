"""Statements about units: the parts of a large job that several workers craft.

A unit is claimed by compare-and-set for the time of a lease; a worker's writes carry its attempt,
so a worker that was thought dead changes nothing when it comes back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.database import lock_rows
from service.store.tables import UnitRow


def claim(
    session: Session, key: str, lease: timedelta, now: datetime, helps: str | None = None
) -> int | None:
    """Claim a unit that nobody holds; return the attempt, or None if it is held or finished.

    ``helps`` is the owner of the job, unless the job's own worker claims it.
    """
    held = {"lease_expires_at": now + lease, "touched_at": now, "helps": helps}
    taken = session.scalar(
        update(UnitRow)
        .where(UnitRow.key == key, UnitRow.artifact.is_(None), UnitRow.lease_expires_at <= now)
        .values(attempt=UnitRow.attempt + 1, **held)
        .returning(UnitRow.attempt)
    )
    if taken is not None or session.get(UnitRow, key) is not None:
        return taken
    try:
        with session.begin_nested():
            session.add(UnitRow(key=key, attempt=1, **held))
    except IntegrityError:
        return None  # another worker was first
    return 1


def renew(session: Session, key: str, attempt: int, lease: timedelta, now: datetime) -> bool:
    """Extend a lease; False when the unit was taken away."""
    held = update(UnitRow).where(
        UnitRow.key == key, UnitRow.attempt == attempt, UnitRow.artifact.is_(None)
    )
    values = held.values(lease_expires_at=now + lease, touched_at=now)
    return session.scalar(values.returning(UnitRow.key)) is not None


def release(session: Session, key: str, attempt: int, now: datetime) -> None:
    """Give a unit back unfinished."""
    held = update(UnitRow).where(
        UnitRow.key == key, UnitRow.attempt == attempt, UnitRow.artifact.is_(None)
    )
    session.execute(held.values(lease_expires_at=now))


def finish(session: Session, key: str, artifact: str, now: datetime) -> None:
    """Record the file of a unit. It is the same file whoever made it, so no attempt is needed.

    The caller has vouched for the file.
    """
    done = update(UnitRow).where(UnitRow.key == key, UnitRow.artifact.is_(None))
    session.execute(done.values(artifact=artifact, touched_at=now))


def finished(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """Return the artifacts of those units that are finished, by key."""
    rows = session.execute(
        select(UnitRow.key, UnitRow.artifact).where(
            UnitRow.key.in_(keys), UnitRow.artifact.is_not(None)
        )
    )
    return {key: artifact for key, artifact in rows if artifact is not None}


def reopen(session: Session, key: str, artifact: str, now: datetime) -> None:
    """Mark a unit whose file is missing or damaged as unfinished, so that it is crafted again."""
    lost = update(UnitRow).where(UnitRow.key == key, UnitRow.artifact == artifact)
    session.execute(lost.values(artifact=None, lease_expires_at=now, touched_at=now))


def touch(session: Session, keys: Sequence[str], now: datetime) -> None:
    """Keep units from being removed for a while: somebody is about to read them."""
    lock_rows(session, UnitRow.key, UnitRow.key.in_(keys))
    session.execute(update(UnitRow).where(UnitRow.key.in_(keys)).values(touched_at=now))


def forget(session: Session, touched_before: datetime) -> list[str]:
    """Remove units nobody has touched for long; return the artifacts they leave behind."""
    old = delete(UnitRow).where(UnitRow.touched_at < touched_before).returning(UnitRow.artifact)
    return [artifact for artifact in session.scalars(old) if artifact is not None]
