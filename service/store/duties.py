"""Housekeeping that one server does for all: whichever finds it due first."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.database import Database
from service.store.tables import DutyRow


def take(database: Database, name: str, every: timedelta) -> bool:
    """Whether a duty is due and this server has taken it; it is due again after ``every``."""
    with database.read() as session:
        now = database.now(session)
        due_at = session.scalar(select(DutyRow.due_at).where(DutyRow.name == name))
    if due_at is not None and due_at > now:
        return False
    with database.write() as session:
        return _first(session, name, now, now + every)


def _first(session: Session, name: str, now: datetime, next_due: datetime) -> bool:
    due = update(DutyRow).where(DutyRow.name == name, DutyRow.due_at <= now).values(due_at=next_due)
    if session.scalar(due.returning(DutyRow.name)) is not None:
        return True
    if session.get(DutyRow, name) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(DutyRow(name=name, due_at=next_due))
    except IntegrityError:
        return False  # another server was first
    return True
