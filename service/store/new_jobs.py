"""A new job: what it was asked for, itself, its first event and its message, in one statement.

SQLite, which is asked without a round trip, knows no such statement and gets four.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Table, bindparam
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
    for statement, tables in _statements(session.get_bind().dialect.name):
        named = {_name(at.c[key]): value for at in tables for key, value in rows[at].items()}
        session.execute(statement, named)
    notes.add(session, job.id, 0, job.note)


def _complete(job: JobRow) -> dict[str, Any]:
    """Return the columns of a job, which gets the defaults that a session would give it."""
    for name, default in _DEFAULTS.items():
        if getattr(job, name) is None and default is not None:
            setattr(job, name, default)
    return {name: getattr(job, name) for name in _DEFAULTS}


@cache
def _statements(dialect: str) -> list[tuple[Insert, Sequence[Table]]]:
    """Return what inserts the rows of which tables; to build it takes longer than to run it."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    inserts: dict[Table, Any] = {table: insert(table).values(_values(table)) for table in _TABLES}
    inserts[_REQUESTS] = inserts[_REQUESTS].on_conflict_do_nothing()
    if dialect == "sqlite":
        return [(one, [table]) for table, one in inserts.items()]
    message = inserts.pop(_OUTBOX)
    return [(message.add_cte(*(one.cte(at.name) for at, one in inserts.items())), _TABLES)]


def _values(table: Table) -> dict[str, Any]:
    own = (column for column in table.c if column is not table.autoincrement_column)
    return {column.key: bindparam(_name(column)) for column in own}


def _name(column: Column[Any]) -> str:
    return f"{column.table.name}_{column.key}"
