"""Statements about units: the shares of a large job that several workers craft.

A unit is claimed by compare-and-set for the time of a lease; what a worker writes carries its
attempt, so one that was thought dead changes nothing when it comes back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.tables import Unit


def claim(session: Session, key: str, lease: timedelta, now: datetime) -> int | None:
    """Take a unit that nobody holds; return the attempt, None if it is held or finished."""
    taken = session.scalar(
        update(Unit)
        .where(Unit.key == key, Unit.artifact.is_(None), Unit.lease_expires_at <= now)
        .values(attempt=Unit.attempt + 1, lease_expires_at=now + lease, touched_at=now)
        .returning(Unit.attempt)
    )
    if taken is not None or session.get(Unit, key) is not None:
        return taken
    try:
        with session.begin_nested():
            session.add(Unit(key=key, attempt=1, lease_expires_at=now + lease, touched_at=now))
    except IntegrityError:
        return None  # another worker was first
    return 1


def renew(session: Session, key: str, attempt: int, lease: timedelta, now: datetime) -> bool:
    """Extend a lease; False when the unit was taken away."""
    held = update(Unit).where(Unit.key == key, Unit.attempt == attempt, Unit.artifact.is_(None))
    values = held.values(lease_expires_at=now + lease, touched_at=now)
    return session.scalar(values.returning(Unit.key)) is not None


def release(session: Session, key: str, attempt: int, now: datetime) -> None:
    """Give a unit back unfinished."""
    held = update(Unit).where(Unit.key == key, Unit.attempt == attempt, Unit.artifact.is_(None))
    session.execute(held.values(lease_expires_at=now))


def finish(session: Session, key: str, artifact: str, now: datetime) -> None:
    """Record the file of a unit. Whoever made it, it is the same file: no attempt is asked.

    The caller has vouched for the file.
    """
    done = update(Unit).where(Unit.key == key, Unit.artifact.is_(None))
    session.execute(done.values(artifact=artifact, touched_at=now))


def finished(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """Return the artifacts of those units that are finished, by key."""
    rows = session.execute(
        select(Unit.key, Unit.artifact).where(Unit.key.in_(keys), Unit.artifact.is_not(None))
    )
    return {key: artifact for key, artifact in rows if artifact is not None}


def reopen(session: Session, key: str, artifact: str, now: datetime) -> None:
    """Take a unit whose file is missing or damaged for unfinished, so that it is crafted anew."""
    lost = update(Unit).where(Unit.key == key, Unit.artifact == artifact)
    session.execute(lost.values(artifact=None, lease_expires_at=now, touched_at=now))


def touch(session: Session, keys: Sequence[str], now: datetime) -> None:
    """Keep units from being removed for a while: somebody is about to read them."""
    session.execute(update(Unit).where(Unit.key.in_(keys)).values(touched_at=now))


def forget(session: Session, touched_before: datetime) -> list[str]:
    """Remove units nobody has touched for long; return the artifacts they leave behind."""
    old = delete(Unit).where(Unit.touched_at < touched_before).returning(Unit.artifact)
    return [artifact for artifact in session.scalars(old) if artifact is not None]
