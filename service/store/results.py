"""What content keys lead to: the cache that outlives jobs."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import OutcomeRow, ResultRow


def find_result(session: Session, owner: str, content_key: str) -> str | None:
    """Return the digest of the masks of an owner's key, if they are stored."""
    key = ResultRow.owner_id == owner, ResultRow.content_key == content_key
    return session.scalar(select(ResultRow.mask_digest).where(*key))


def find_outcome(session: Session, owner: str, content_key: str) -> dict[str, Any] | None:
    """Return the files and report of an owner's key, if they are stored."""
    key = OutcomeRow.owner_id == owner, OutcomeRow.content_key == content_key
    return session.scalar(select(OutcomeRow.document).where(*key))
