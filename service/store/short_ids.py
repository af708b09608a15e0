"""Jobs by the beginning of their ids."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.store.shown import owned
from service.store.tables import JobRow


def beginning_with(session: Session, owner: str, start: str, most: int) -> Sequence[str]:
    """Return the ids of an owner that begin so, up to a number of them."""
    query = owned(owner, JobRow.id).where(JobRow.id.startswith(start, autoescape=True))
    return session.scalars(query.order_by(JobRow.id).limit(most)).all()
