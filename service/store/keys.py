"""Every statement about owners and their keys."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.contract.queries import KeyQuery
from service.store.tables import KeyRow, OwnerRow


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """A key with the name of its owner."""

    key: KeyRow
    owner: str


def owner_of(session: Session, name: str, now: datetime) -> OwnerRow:
    """Return the owner of a name, who is made if there is none."""
    named = select(OwnerRow).where(OwnerRow.name == name)
    if (known := session.scalar(named)) is not None:
        return known
    made = OwnerRow(id=f"owner_{secrets.token_hex(12)}", name=name, created_at=now)
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError:
        return session.scalars(named).one()  # somebody else has made it since we looked
    return made


def find(session: Session, key_id: str) -> OwnedKey | None:
    """Return a key."""
    row = session.execute(_keys().where(KeyRow.id == key_id)).one_or_none()
    return None if row is None else OwnedKey(row[0], row[1])


def page(
    session: Session, wanted: KeyQuery, before: tuple[datetime, str] | None, size: int
) -> Sequence[OwnedKey]:
    """Return up to ``size`` keys, the newest first."""
    query = _keys()
    if wanted.created_after is not None:
        query = query.where(KeyRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(KeyRow.created_at < wanted.created_before)
    if before is not None:
        query = query.where(tuple_(KeyRow.created_at, KeyRow.id) < tuple_(*before))
    query = query.order_by(KeyRow.created_at.desc(), KeyRow.id.desc()).limit(size)
    return [OwnedKey(key, owner) for key, owner in session.execute(query)]


def is_any_valid(session: Session, now: datetime) -> bool:
    """Whether anybody could sign in with a key."""
    return bool(session.scalar(select(exists().where(*_valid(now)))))


def end(session: Session, key_id: str, at: datetime) -> None:
    """Let a key be valid until a time at the latest."""
    earlier = or_(KeyRow.expires_at.is_(None), KeyRow.expires_at > at)
    session.execute(update(KeyRow).where(KeyRow.id == key_id, earlier).values(expires_at=at))


def revoke(session: Session, key_id: str, now: datetime) -> None:
    """End a key at once; one that is revoked already stays as it is."""
    valid = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
    session.execute(valid.values(revoked_at=now))


def note_use(session: Session, key_id: str, now: datetime) -> None:
    """Note that a key is used."""
    session.execute(update(KeyRow).where(KeyRow.id == key_id).values(last_used_at=now))


def _keys() -> Select[KeyRow, str]:
    return select(KeyRow, OwnerRow.name).join(OwnerRow, OwnerRow.id == KeyRow.owner_id)


def _valid(now: datetime) -> list[ColumnElement[bool]]:
    lasting = or_(KeyRow.expires_at.is_(None), KeyRow.expires_at > now)
    return [KeyRow.revoked_at.is_(None), lasting]
