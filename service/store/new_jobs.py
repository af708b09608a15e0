"""A new job: what it was asked for, itself, its first event and its message, in one statement.

SQLite, which is asked without a round trip, knows no such statement and gets four.
"""

from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql import Insert

from service.contract.jobs import JobStatus
from service.store import notes, outbox
from service.store.jobs import asked_by
from service.store.records import Record
from service.store.requests import Packed
from service.store.tables import JobEventRow, JobRow, OutboxRow, RequestRow

_TABLES = tuple(
    Record.metadata.tables[row.__tablename__]
    for row in (RequestRow, JobRow, JobEventRow, OutboxRow)
)
_REQUESTS, _JOBS, _EVENTS, _OUTBOX = _TABLES
_NAMES = {
    column: f"{table.name}_{column.key}"
    for table in _TABLES
    for column in table.c
    if column is not table.autoincrement_column
}
"""Of the parameters that give the columns their values."""
_DEFAULTS = {column.key: getattr(column.default, "arg", None) for column in _JOBS.c}


def add(session: Session, job: JobRow, packed: Packed, now: datetime) -> None:
    """Insert a queued job with its first event and its message; equal requests are stored once.

    Raises
    ------
    IntegrityError
        Its owner has another queued or running job of the key.
    """
    job.events = 1
    columns = _complete(job)
    told = {"status": JobStatus.QUEUED} | asked_by(job.request_id)
    event = {"job_id": job.id, "seq": 1, "event": "status", "data": told, "created_at": now}
    request = {"digest": packed.digest, "packed": packed.data}
    rows = {_REQUESTS: request, _JOBS: columns, _EVENTS: event, _OUTBOX: outbox.first(job, now)}
    values = {
        _NAMES[at.c[key]]: value
        for at, row in rows.items()
        for key, value in row.items()
        if value is not None
    }
    for statement in _statements(session.get_bind().dialect.name, tuple(values)):
        session.execute(statement, values)
    notes.add(session, job.id, 0, job.note)


def _complete(job: JobRow) -> dict[str, Any]:
    """Return the columns of a job, which gets the defaults that a session would give it."""
    for name, default in _DEFAULTS.items():
        if getattr(job, name) is None and default is not None:
            setattr(job, name, default)
    return {name: getattr(job, name) for name in _DEFAULTS}


@lru_cache
def _statements(dialect: str, names: tuple[str, ...]) -> list[Insert]:
    """Return what inserts the values of such names; to build it takes longer than to run it.

    A column without a value is left out: psycopg parses a statement of more than 50 values anew
    each time.
    """
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    columns = [(column, name) for column, name in _NAMES.items() if name in names]
    inserts = {
        table: insert(table).values({column.key: bindparam(name) for column, name in own})
        for table, own in groupby(columns, lambda pair: pair[0].table)
    }
    inserts[_REQUESTS] = inserts[_REQUESTS].on_conflict_do_nothing()
    if dialect == "sqlite":
        return list(inserts.values())
    message = inserts.pop(_OUTBOX)
    return [message.add_cte(*(one.cte(at.name) for at, one in inserts.items()))]
