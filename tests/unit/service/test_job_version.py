"""The version of a job, by which polls are answered, changes with what clients are shown."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.event import listen

from service.api.polls import Polls, Seen
from service.contract.access import LOCAL
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.settings import Settings
from service.store import shown
from service.store.migrate import migrate
from service.store.records import Timestamp
from service.store.tables import JobRow, MasksRow, OwnerRow, RequestRow

JOB = "job_0123456789abcdef01234567"
MASKS = "sha256:" + "1" * 64
WRITTEN_ONCE = {
    *("kind", "content_key", "name", "importance", "algorithm", "note", "request_id"),
    *("timeout_seconds", "max_attempts", "created_at"),
}
"""Columns that are shown and stay as the job was created."""
WITH_THE_STATUS = {"error", "outcome", "canceled_by"}
"""Columns that are shown and change only together with the status."""
WITH_A_CALLER = {"rank"}
"""Columns that are shown and change only when somebody joins."""
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER: dict[str, Any] = {
    "status": "running",
    "kind": "train",
    "content_key": MASKS,
    "note": {"a": "b"},
    "importance": "sha256:" + "2" * 64,
    "mask_digest": MASKS,
    "error": {"code": "timeout"},
    "canceled_by": {"request_id": "x", "client": "y", "metadata": {}},
    "outcome": {
        "main": "report",
        "files": [{"name": "report", "digest": MASKS, "bytes": 3}],
        "report": {},
    },
    "failed_gates": [],
    "rank": 2,
}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = Services.open(Settings(state_dir=tmp_path))
    migrate(services.settings)
    row = dict.fromkeys(column.key for column in JobRow.__table__.columns)
    row |= {
        **dict.fromkeys(("kind", "content_key", "algorithm", "queue", "phase"), "craft"),
        **dict.fromkeys(("attempt", "completed", "events", "joined"), 0),
        "id": JOB,
        "owner_id": LOCAL,
        "status": "queued",
        "name": "",
        "needs": "",
        "request": MASKS,
        "note": {},
        "total": 3,
        "rank": 1,
        "max_attempts": 3,
        "timeout_seconds": 60.0,
        "created_at": NOON,
        "run_after": NOON,
        "content_key": "sha256:" + "3" * 64,
    }
    masks = {column.key: _other(column) for column in MasksRow.__table__.columns}
    with services.database.write() as session:
        session.add(RequestRow(digest=MASKS, packed=b""))
        session.add(OwnerRow(id="own_other", name="other", created_at=NOON))
        session.flush()
        for owner, file in ((LOCAL, MASKS), ("own_other", "sha256:" + "4" * 64)):
            own = {"owner_id": owner, "digest": MASKS, "file_sha256": file, "dead_units": None}
            session.add(MasksRow(**masks | own))
        session.flush()
        session.add(JobRow(**row))
    yield services
    services.database.close()


def _other(column: Any) -> Any:
    """Return a value that the column of the job above does not have."""
    if isinstance(column.type, Timestamp):
        return NOON.replace(hour=13)
    others = {int: 7, float: 7.0, str: "other", bool: True}
    return others.get(column.type.python_type, {})


def test_the_version_changes_with_whatever_is_shown(services: Services) -> None:
    first = get_job(services, JOB)
    unseen = set()
    for column in JobRow.__table__.columns:
        if column.key in ("id", "owner_id", "request"):
            continue
        with services.database.write() as session:
            before = session.get_one(JobRow, JOB)
            kept = getattr(before, column.key)
            other = LATER.get(column.key, _other(column))
            session.execute(update(JobRow).values({column.key: other}))
        now = get_job(services, JOB)
        if now != first and now.version.etag == first.version.etag:
            unseen.add(column.key)
        with services.database.write() as session:
            assert shown.versions(session, LOCAL, [JOB]) == {JOB: (now.version, now.created_at)}
            session.execute(update(JobRow).values({column.key: kept}))
    assert unseen == WRITTEN_ONCE | WITH_THE_STATUS | WITH_A_CALLER


def test_nobody_else_sees_a_job_change(services: Services) -> None:
    with services.database.look() as session:
        assert shown.versions(session, "own_somebody", [JOB]) == {}


def test_all_who_ask_at_once_are_answered_by_one_query(services: Services) -> None:
    statements: list[str] = []
    listen(
        services.database.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2])
    )

    async def ask() -> list[Seen | None]:
        polls = Polls(services.database)
        asked = [(LOCAL, JOB), (LOCAL, "job_gone"), ("own_somebody", JOB)] * 100
        return await asyncio.gather(*(polls.look(*one) for one in asked))

    seen = asyncio.run(ask())
    here = get_job(services, JOB)
    assert seen == [(here.version, here.created_at), None, None] * 100
    polled = [one for one in statements if "FROM jobs" in one and "masks.file_sha256" in one]
    assert len(polled) <= 3  # one for each owner, and one of get_job
