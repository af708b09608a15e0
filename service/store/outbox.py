"""Messages waiting for the broker.

A message is taken for a while, published, and then removed. Whoever dies in between leaves it to
be published a second time, which is harmless: a claim decides who runs a job.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.store.tables import Job, Outbox

_BATCH = 100


def take(session: Session, now: datetime, hold: timedelta) -> Sequence[Outbox]:
    """Return due messages, oldest first, and keep other janitors from them for ``hold``."""
    messages = session.scalars(
        select(Outbox)
        .where(Outbox.next_attempt_at <= now)
        .order_by(Outbox.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for message in messages:
        message.next_attempt_at = now + hold
        message.attempts += 1
    return messages


def remove(session: Session, published: Sequence[Outbox], now: datetime) -> None:
    """Drop published messages and note on their jobs when that was."""
    session.execute(delete(Outbox).where(Outbox.id.in_([message.id for message in published])))
    arguments = [message.argument for message in published]
    session.execute(update(Job).where(Job.id.in_(arguments)).values(published_at=now))


def postpone(session: Session, messages: Sequence[Outbox], due: datetime) -> None:
    """Try messages again at ``due``."""
    ids = [message.id for message in messages]
    session.execute(update(Outbox).where(Outbox.id.in_(ids)).values(next_attempt_at=due))
