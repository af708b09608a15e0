"""Messages waiting for the broker.

The broker gets a few at a time and the rest wait here, so that it cannot lose many and canceled
ones never reach it. A message is taken for a while, published, and then removed. If its janitor
dies in between, it is published a second time, which is harmless: a claim decides who runs a job.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from service.contract.tasks import Queue, Task
from service.store.database import lock_rows
from service.store.tables import JobRow, OutboxRow


def add(session: Session, task: Task, queue: str, arguments: Sequence[str], due: datetime) -> None:
    """Write messages that the janitor will publish once they are due."""
    shared = {"task": task, "queue": queue, "created_at": due, "next_attempt_at": due}
    if arguments:
        session.execute(insert(OutboxRow), [{**shared, "argument": name} for name in arguments])


def has_due(session: Session, queue: Queue, now: datetime) -> bool:
    """Whether a message of a queue is due."""
    due = (
        select(OutboxRow.id)
        .where(OutboxRow.queue == queue, OutboxRow.next_attempt_at <= now)
        .limit(1)
    )
    return session.scalar(due) is not None


def take(
    session: Session, queue: Queue, most: int, now: datetime, hold: timedelta
) -> Sequence[OutboxRow]:
    """Return due messages, oldest first, and keep other janitors from them for ``hold``."""
    messages = session.scalars(
        select(OutboxRow)
        .where(OutboxRow.queue == queue, OutboxRow.next_attempt_at <= now)
        .order_by(OutboxRow.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    postpone(session, messages, now + hold)
    return messages


def remove(session: Session, published: Sequence[OutboxRow], now: datetime) -> None:
    """Drop published messages and note on their jobs when that was."""
    told = [message.argument for message in published if message.task == Task.RUN_JOB]
    lock_rows(session, JobRow.id, JobRow.id.in_(told))
    session.execute(update(JobRow).where(JobRow.id.in_(told)).values(published_at=now))
    session.execute(
        delete(OutboxRow).where(OutboxRow.id.in_([message.id for message in published]))
    )


def postpone(session: Session, messages: Sequence[OutboxRow], due: datetime) -> None:
    """Make messages available again at ``due``."""
    ids = [message.id for message in messages]
    session.execute(update(OutboxRow).where(OutboxRow.id.in_(ids)).values(next_attempt_at=due))


def withdraw(session: Session, job_id: str) -> None:
    """Drop the message of a job that need not run any more."""
    session.execute(
        delete(OutboxRow).where(OutboxRow.argument == job_id, OutboxRow.task == Task.RUN_JOB)
    )
