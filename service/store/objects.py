"""The bond between files and the rows that name them.

Two laws, kept by a lock on the digest that lasts until the transaction's end:

* who writes a row that needs an object **holds** it, and has seen it there (:func:`vouch`);
* who removes one **seizes** it, and has seen that nothing needs it (:func:`discard`).

Files are stored before the row that names them and removed after it, each in a transaction of its
own. So a crash may leave a file that nothing names, which housekeeping finds, but never a row that
names nothing. On SQLite the single writer's lock is enough.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, exists, func, inspect, or_, select, tuple_, update
from sqlalchemy.orm import Session

from service.contract.jobs import ENDED
from service.store.database import Database, lock_rows
from service.store.files.artifacts import Artifacts
from service.store.records import Record
from service.store.tables import BlobRow, JobRow, MasksRow, UnitRow

SPARSE = timedelta(hours=1)
"""How precisely the last use is known: a row is not written at every read."""

KeptTable = type[BlobRow] | type[MasksRow]
Row = TypeVar("Row", bound=Record)


def hold(session: Session, *digests: str) -> None:
    """Keep objects from being removed until the transaction ends; any number may hold one."""
    _lock(session, "pg_advisory_xact_lock_shared", digests)


def seize(session: Session, digest: str) -> None:
    """Wait until nobody holds an object, and keep others from holding it."""
    _lock(session, "pg_advisory_xact_lock", [digest])


def vouch(session: Session, artifacts: Artifacts, digest: str, store: Callable[[], object]) -> None:
    """Make sure that a file exists, and stays, before a row names it.

    ``store`` puts it back: it may have been removed since it was stored.
    """
    hold(session, digest)
    if not artifacts.has(digest):
        store()


def discard(database: Database, artifacts: Artifacts, digest: str) -> bool:
    """Remove a file unless a row names it; return whether none did."""
    with database.write() as session:
        seize(session, digest)
        if is_named(session, digest):
            return False
        artifacts.delete(digest)
        return True


def is_named(session: Session, digest: str) -> bool:
    """Whether a row names a file."""
    names = or_(
        exists().where(BlobRow.digest == digest),
        exists().where(UnitRow.artifact == digest),
        exists().where(
            MasksRow.file_sha256 == digest, MasksRow.chunks == 0, MasksRow.removed_at.is_(None)
        ),
    )
    return bool(session.scalar(select(names)))


def needed_by(session: Session, owner: str, digest: str) -> str | None:
    """Return a job of an owner that has not ended and names an upload or masks of his."""
    needing = JobRow.owner_id == owner, JobRow.needs.contains(digest)
    return session.scalar(select(JobRow.id).where(JobRow.status.not_in(ENDED), *needing).limit(1))


def use(
    session: Session, table: KeptTable, owner: str, digests: Collection[str], now: datetime
) -> None:
    """Note that an owner uses objects, unless that was noted within the last hour."""
    if not digests:
        return
    rested = or_(table.used_at.is_(None), table.used_at < now - SPARSE)
    named = and_(table.owner_id == owner, table.digest.in_(digests))
    if lock_rows(session, table.digest, named, rested):
        session.execute(update(table).where(named, rested).values(used_at=now))


def pin(session: Session, table: KeptTable, owner: str, digest: str, *, pinned: bool) -> None:
    """Pin an owner's object, to keep it however long it goes unused, or unpin it."""
    named = table.owner_id == owner, table.digest == digest
    session.execute(update(table).where(*named).values(pinned=pinned))


def expired(
    session: Session, table: KeptTable, before: datetime, most: int
) -> Sequence[tuple[str, str]]:
    """Return owners and digests of unpinned objects that the owner has not used since ``before``.

    The longest unused come first.
    """
    query = select(table.owner_id, table.digest).where(*_expired(table, before))
    rows = session.execute(query.order_by(table.used_at).limit(most))
    return [(owner, digest) for owner, digest in rows]


def has_expired(
    session: Session, table: KeptTable, owner: str, digest: str, before: datetime
) -> bool:
    """Whether an owner has not used or pinned an object since ``before``."""
    named = table.owner_id == owner, table.digest == digest
    return bool(session.scalar(select(exists().where(*named, *_expired(table, before)))))


def count(session: Session, table: type[Record]) -> int:
    """Return the number of rows."""
    return session.scalar(select(func.count()).select_from(table)) or 0


def every(database: Database, table: type[Row], at_a_time: int) -> Iterator[Row]:
    """Yield the rows of a table in order of their key, read in several short transactions."""
    key = inspect(table).primary_key
    last = tuple("" for _ in key)
    while True:
        with database.read() as session:
            query = select(table).where(tuple_(*key) > tuple_(*last)).order_by(*key)
            rows = session.scalars(query.limit(at_a_time)).all()
        yield from rows
        if len(rows) < at_a_time:
            return
        last = tuple(getattr(rows[-1], column.name) for column in key)


def _expired(table: KeptTable, before: datetime) -> list[ColumnElement[bool]]:
    there = [MasksRow.removed_at.is_(None)] if table is MasksRow else []
    return [table.used_at < before, table.pinned.is_(False), *there]


def _lock(session: Session, function: str, digests: Collection[str]) -> None:
    if session.get_bind().dialect.name == "postgresql":
        for digest in sorted(digests):
            number = int.from_bytes(bytes.fromhex(digest[-64:])[:8], "big", signed=True)
            session.execute(select(getattr(func, function)(number)))
