"""What content keys lead to: the cache that outlives jobs."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.tables import OutcomeRow, ResultRow


def find_result(session: Session, owner: str, content_key: str) -> str | None:
    """Return the digest of the masks of an owner's key, if they are stored."""
    key = ResultRow.owner_id == owner, ResultRow.content_key == content_key
    return session.scalar(select(ResultRow.mask_digest).where(*key))


def keep_result(session: Session, owner: str, content_key: str, digest: str, now: datetime) -> None:
    """Record the masks that an owner's key leads to, unless that is recorded."""
    row = ResultRow(owner_id=owner, content_key=content_key, mask_digest=digest, created_at=now)
    if find_result(session, owner, content_key) is None:
        with suppress(IntegrityError), session.begin_nested():  # somebody may be quicker
            session.add(row)


def keep_outcome(
    session: Session, owner: str, content_key: str, document: dict[str, Any], now: datetime
) -> None:
    """Record the files and report that an owner's key leads to, in place of earlier ones."""
    values = {"document": document, "created_at": now}
    key = OutcomeRow.owner_id == owner, OutcomeRow.content_key == content_key
    earlier = update(OutcomeRow).where(*key).values(**values)
    if session.scalar(earlier.returning(OutcomeRow.content_key)) is None:
        with suppress(IntegrityError), session.begin_nested():
            session.add(OutcomeRow(owner_id=owner, content_key=content_key, **values))
