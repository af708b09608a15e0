"""What content keys lead to: the cache that outlives jobs."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import OutcomeRow, ResultRow


def find_result(session: Session, content_key: str) -> str | None:
    """Return the digest of a key's masks, if they are stored."""
    return session.scalar(select(ResultRow.mask_digest).where(ResultRow.content_key == content_key))


def find_outcome(session: Session, content_key: str) -> dict[str, Any] | None:
    """Return the files and report of a key, if they are stored."""
    return session.scalar(select(OutcomeRow.document).where(OutcomeRow.content_key == content_key))
