"""Joining a job: a further request for what is queued or running already."""

from datetime import datetime
from typing import Any

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from service.store import notes, outbox
from service.store.jobs import add_event, asked_by
from service.store.tables import JobRow

_MOST_NAMED = 20
"""A popular job must not grow with every request."""


def join(
    session: Session,
    job_id: str,
    request_id: str | None,
    metadata: dict[str, str],
    deadline_at: datetime | None,
    rank: int,
    now: datetime,
) -> None:
    """Count a further request for a job, which has the later deadline and higher priority of both.

    The first ones are named in its events, and what they noted is kept.
    """
    if rank < session.get_one(JobRow, job_id).rank:
        outbox.advance(session, job_id, rank)
    caller = session.scalar(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(
            joined=JobRow.joined + 1,
            deadline_at=_later(deadline_at),
            rank=case((JobRow.rank > rank, rank), else_=JobRow.rank),
        )
        .returning(JobRow.joined)
    )
    if (caller or 0) <= _MOST_NAMED:
        noted = {"metadata": metadata} if metadata else {}
        data = {"message": "another request joined this job"} | asked_by(request_id) | noted
        add_event(session, job_id, "log", data, now)
        notes.add(session, job_id, caller or 0, metadata)


def _later(deadline: datetime | None) -> Any:
    """Return the later of a job's deadline and another one; none is the latest."""
    if deadline is None:
        return None
    return case((JobRow.deadline_at < deadline, deadline), else_=JobRow.deadline_at)
