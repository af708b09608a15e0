"""Whose turn it is: what each owner has under way, and who waits.

Under way is what workers run for him, or will once they fetch it from the broker. Nothing here
depends on how much waits: the database is asked about what is under way, and once for each owner
who waits.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from raiw.jobs.registry import KINDS
from service.contract.jobs import HELD
from service.contract.requests import DEFAULT_KIND
from service.contract.tasks import Queue, queue_of
from service.store.tables import HELPED, PUBLISHED, JobRow, OutboxRow, UnitRow

SHARED = queue_of(KINDS[DEFAULT_KIND])
"""The queue of the jobs whose units several workers craft."""


def running(session: Session, queue: Queue, now: datetime) -> Counter[str]:
    """Count the workers of a queue that are at work, by owner.

    A worker that crafts units of another's job counts like one that runs a job.
    """
    jobs = select(JobRow.owner_id, func.count()).where(
        JobRow.status.in_(HELD), JobRow.queue == queue
    )
    counts = _counted(session, jobs.group_by(JobRow.owner_id))
    if queue == SHARED:
        units = select(UnitRow.helps, func.count()).where(HELPED, UnitRow.lease_expires_at > now)
        counts += _counted(session, units.group_by(UnitRow.helps))
    return counts


def published(session: Session, queue: Queue) -> Counter[str]:
    """Count the jobs that the broker has and nobody has claimed, by owner."""
    jobs = select(JobRow.owner_id, func.count()).where(PUBLISHED, JobRow.queue == queue)
    return _counted(session, jobs.group_by(JobRow.owner_id))


def waiting(session: Session, queue: Queue) -> Sequence[str]:
    """Return the owners of the messages of a queue, by one step in the index for each."""
    first = _next_owner(queue).scalar_subquery()
    owners = select(first.label("owner_id")).cte("waiting", recursive=True)
    after = _next_owner(queue).where(OutboxRow.owner_id > owners.c.owner_id).scalar_subquery()
    owners = owners.union_all(select(after).where(owners.c.owner_id.is_not(None)))
    found = session.scalars(select(owners.c.owner_id).where(owners.c.owner_id.is_not(None)))
    return found.all()


def _next_owner(queue: Queue) -> Select[str]:
    mine = select(OutboxRow.owner_id).where(OutboxRow.queue == queue)
    return mine.order_by(OutboxRow.owner_id).limit(1)


def _counted(session: Session, query: Select[Any, int]) -> Counter[str]:
    return Counter(dict(session.execute(query).all()))
