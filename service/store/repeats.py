"""Requests that carry an ``Idempotency-Key``: the table, and what each has led to.

The row is written in the transaction that makes what it names, so a crash leaves both or neither.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import ForeignKey, String, delete, select, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from raiw.canonical import digest_of_json
from service.contract.errors import IdempotencyKeyReused
from service.store.records import Record


class RepeatRow(Record):
    """An owner's key, the request that first carried it, and the job or upload it has led to."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[str] = mapped_column(String(40), ForeignKey("owners.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[str] = mapped_column(String(71))
    """Digest of route and body."""
    made: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that may be sent again: its key, and the digest of route and body."""

    key: str
    request: str

    @classmethod
    def of(cls, key: str | None, route: str, body: BaseModel) -> "Repeat | None":
        """Return it, unless the request has no key."""
        if key is None:
            return None
        return cls(key.strip('"'), digest_of_json([route, body.model_dump(mode="json")]))


def find(session: Session, owner: str, repeat: Repeat) -> RepeatRow | None:
    """Return what an owner's request has led to; None if it comes for the first time.

    Raises
    ------
    IdempotencyKeyReused
        Another request carried the key.
    """
    row = session.get(RepeatRow, (owner, repeat.key))
    if row is not None and row.request != repeat.request:
        raise IdempotencyKeyReused(
            f"the Idempotency-Key {repeat.key!r} came with another request at "
            f"{row.created_at.isoformat(timespec='seconds')}: send this one under a key of its own"
        )
    return row


def note(session: Session, owner: str, repeat: Repeat, made: str, now: datetime) -> None:
    """Record what a request has led to.

    Raises
    ------
    IntegrityError
        The same request was here at the same time, and first: look again.
    """
    row = RepeatRow(owner_id=owner, key=repeat.key, request=repeat.request, made=made)
    row.created_at = now
    session.add(row)
    session.flush()


def free(session: Session, row: RepeatRow) -> None:
    """Forget a request: what it has led to is gone."""
    mine = RepeatRow.owner_id == row.owner_id, RepeatRow.key == row.key
    session.execute(delete(RepeatRow).where(*mine))


def forget(session: Session, before: datetime, most: int) -> int:
    """Forget requests that came before a time; return how many."""
    key = RepeatRow.owner_id, RepeatRow.key
    old = select(*key).where(RepeatRow.created_at < before).limit(most)
    gone = delete(RepeatRow).where(tuple_(*key).in_(old)).returning(RepeatRow.key)
    return len(session.scalars(gone, execution_options={"synchronize_session": False}).all())
