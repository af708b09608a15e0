"""Jobs by the beginning of their ids."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import JobRow


def beginning_with(session: Session, start: str, most: int) -> Sequence[str]:
    """Return the ids that begin so, up to a number of them."""
    query = select(JobRow.id).where(JobRow.id.startswith(start, autoescape=True))
    return session.scalars(query.order_by(JobRow.id).limit(most)).all()
