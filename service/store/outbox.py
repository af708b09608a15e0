"""Messages waiting for the broker.

The broker gets a few at a time and the rest wait here, so that it cannot lose many, canceled ones
never reach it, and nobody has to wait behind all that others have asked for. A message is taken for
a while, published, and then removed. If its janitor dies in between, it is published a second time,
which is harmless: a claim decides who runs a job.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heapreplace
from typing import Any

from sqlalchemy import delete, insert, literal, select, tuple_, update
from sqlalchemy.orm import Session

from service.contract.jobs import Priority
from service.contract.tasks import Queue, Task
from service.store import turns
from service.store.database import lock_rows
from service.store.records import Timestamp
from service.store.tables import JobRow, OutboxRow


def first(job: JobRow, now: datetime) -> dict[str, Any]:
    """Return the columns of the first message of a job."""
    told = {"task": Task.RUN_JOB, "queue": job.queue, "argument": job.id}
    whose = {"owner_id": job.owner_id, "rank": job.rank}
    return {**told, **whose, "created_at": now, "next_attempt_at": now}


def announce(session: Session, job_ids: Sequence[str], due: datetime) -> None:
    """Write further messages of jobs, which the janitor will publish once they are due.

    A job keeps its place: before those of its owner that were asked for later.
    """
    columns = ("task", "queue", "argument", "owner_id", "rank", "created_at", "next_attempt_at")
    told = (literal(Task.RUN_JOB.value), JobRow.queue, JobRow.id, JobRow.owner_id, JobRow.rank)
    when = JobRow.created_at, literal(due, Timestamp())
    written = select(*told, *when).where(JobRow.id.in_(job_ids))
    oldest_first = written.order_by(JobRow.created_at, JobRow.id)
    session.execute(insert(OutboxRow).from_select(columns, oldest_first))


def invite(session: Session, job_id: str, helpers: int, now: datetime) -> None:
    """Write messages that ask other workers to help with a running job."""
    job = session.get_one(JobRow, job_id)
    told = {"task": Task.ASSIST_JOB, "queue": job.queue, "argument": job_id}
    whose = {"owner_id": job.owner_id, "rank": job.rank}
    when = {"created_at": now, "next_attempt_at": now}
    if helpers > 0:
        session.execute(insert(OutboxRow), [{**told, **whose, **when}] * helpers)


def measure(session: Session, owner: str, digest: str, now: datetime) -> None:
    """Write a message that asks for the statistics of an owner's masks."""
    told = {"task": Task.MEASURE_MASKS, "queue": Queue.CPU, "argument": digest}
    whose = {"owner_id": owner, "rank": Priority.NORMAL.rank}
    when = {"created_at": now, "next_attempt_at": now}
    session.execute(insert(OutboxRow).values({**told, **whose, **when}))


def has_due(session: Session, queue: Queue, now: datetime) -> bool:
    """Whether a message of a queue is due."""
    due = (
        select(OutboxRow.id)
        .where(OutboxRow.queue == queue, OutboxRow.next_attempt_at <= now)
        .limit(1)
    )
    return session.scalar(due) is not None


def take(
    session: Session, queue: Queue, most: int, now: datetime, hold: timedelta, last: str = ""
) -> Sequence[OutboxRow]:
    """Return due messages of owners in turn, and keep other janitors from them for ``hold``.

    Each place goes to the owner who has least under way, counting those that he has just got; among
    equals to the next after ``last``, who was the last one served, in the order of their ids. An
    owner's own messages go by priority, then by the age of their jobs.
    """
    owners = turns.waiting(session, queue)
    at_a_time = max(1, most // max(1, len(owners)))
    due = {owner: _due(session, queue, owner, now, at_a_time) for owner in owners}
    loads = turns.running(session, queue, now) + turns.published(session, queue)
    line = [(loads[owner], owner <= last, owner) for owner in owners]
    heapify(line)
    taken: list[OutboxRow] = []
    while line and len(taken) < most:
        load, passed, owner = line[0]
        if (message := next(due[owner], None)) is None:
            heappop(line)
        else:
            taken.append(message)
            heapreplace(line, (load + 1, passed, owner))
    postpone(session, taken, now + hold)
    return taken


def _due(
    session: Session, queue: Queue, owner: str, now: datetime, at_a_time: int
) -> Iterator[OutboxRow]:
    """Yield an owner's due messages that no other janitor is taking, the first ones first."""
    mine = (OutboxRow.queue == queue, OutboxRow.owner_id == owner, OutboxRow.next_attempt_at <= now)
    line = (OutboxRow.rank, OutboxRow.created_at, OutboxRow.id)
    first = select(OutboxRow).where(*mine).order_by(*line).limit(at_a_time)
    query = first.with_for_update(skip_locked=True)
    while found := session.scalars(query).all():
        yield from found
        if len(found) < at_a_time:
            return
        place = tuple_(found[-1].rank, found[-1].created_at, found[-1].id)
        query = first.where(tuple_(*line) > place).with_for_update(skip_locked=True)


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


def advance(session: Session, job_id: str, rank: int) -> None:
    """Let the message of a job go before the owner's others of a lower priority."""
    mine = OutboxRow.argument == job_id, OutboxRow.rank > rank
    session.execute(update(OutboxRow).where(*mine).values(rank=rank))


def withdraw(session: Session, job_id: str) -> None:
    """Drop the message of a job that need not run any more."""
    session.execute(
        delete(OutboxRow).where(OutboxRow.argument == job_id, OutboxRow.task == Task.RUN_JOB)
    )
