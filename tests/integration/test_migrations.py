"""The chain of migrations: it keeps what is stored, and can be walked both ways."""

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

import migrations
import raiw
from service.settings import Settings
from service.store import requests
from service.store.database import Database
from service.store.migrate import downgrade, upgrade
from service.store.records import Record
from service.store.tables import JobRow, MasksRow
from tests.integration.stack import Postgres, Sqlite


@pytest.fixture(params=[Sqlite, Postgres])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = request.param(Path(folder))
        opened = Database(Settings(database_url=server.url, state_dir=Path(folder)))
        yield opened
        opened.close()
        server.stop()


def move(database: Database, revision: str) -> None:
    (upgrade if revision == "head" else downgrade)(database, revision)


def test_the_tables_are_those_of_the_code(database: Database) -> None:
    move(database, "head")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []


SPECS = {"job_1": {"name": "a\nb", "layers": [1]}, "job_2": {"name": "a\nb", "layers": [1]}}
TASK = {"kind": "train", "network": "digits-cnn"}


def test_jobs_and_their_events_survive_every_step(database: Database) -> None:
    upgrade(database, "0003")
    now = datetime.now(UTC)
    job = {
        "kind": "craft", "status": "queued", "algorithm": "raiw", "note": "{}", "task": None,
        "queue": "raiw.cpu", "timeout_seconds": 1.0, "max_attempts": 3, "attempt": 0,
        "phase": "queued", "completed": 0, "total": 1, "events": 1, "created_at": now,
        "run_after": now,
    }  # fmt: skip
    rows = [
        job | {"id": name, "content_key": name, "spec": json.dumps(spec)}
        for name, spec in SPECS.items()
    ]
    trains = {"id": "job_3", "content_key": "k", "kind": "train", "spec": "{}"}
    rows.append(job | trains | {"task": json.dumps(TASK)})
    columns = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    with database.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), rows)  # noqa: S608
        connection.execute(
            text("INSERT INTO job_events VALUES ('job_1', 1, 'status', '{}', :now)"), {"now": now}
        )
    for revision in ("head", "0002", "0001", "head"):
        move(database, revision)
        with database.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM jobs")) == 3
            assert connection.scalar(text("SELECT count(*) FROM job_events")) == 1
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM requests")) == 2
        assert {job.id: job.name for job in session.scalars(select(JobRow))} == {
            "job_1": "a\ufffdb", "job_2": "a\ufffdb", "job_3": ""
        }  # fmt: skip
    assert {name: requests.read(database, name) for name in SPECS} == SPECS
    move(database, "base")
    with database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}


def test_masks_of_before_are_told_their_dead_units(database: Database) -> None:
    layers = [
        {"name": name, "kind": "linear", "in_features": 8, "out_features": 6} for name in "abc"
    ]
    made = [raiw.craft({"layers": layers, "craft": {"edges": edges}}) for edges in (6, 4, 48)]
    upgrade(database, "0007")
    with database.engine.begin() as connection:
        for masks in made:
            row = {
                "digest": masks.digest, "file_sha256": masks.digest, "size": 1, "chunks": 0,
                "document": json.dumps(masks.to_json()), "measure_attempts": 0, "pinned": False,
                "created_at": datetime.now(UTC),
            }  # fmt: skip
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO masks ({', '.join(row)}) VALUES ({values})"), row)  # noqa: S608
    move(database, "head")
    with database.read() as session:
        stored = dict(session.execute(select(MasksRow.digest, MasksRow.dead_units)).all())
    told = {masks.digest: [units.model_dump() for units in masks.dead_units] for masks in made}
    assert [len(told[masks.digest]) for masks in made] == [2, 3, 0]
    assert stored == told
    move(database, "0007")
    move(database, "head")


def test_a_migration_says_whether_older_code_works() -> None:
    """What says nothing is taken to break it; from the fourth on each has to decide."""
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    silent = {
        script.revision
        for script in scripts.walk_revisions()
        if not hasattr(script.module, "older_code_works")
    }
    assert silent == {"0001", "0002", "0003"}


def test_the_oldest_code_that_works_is_written_down(database: Database) -> None:
    move(database, "head")
    with database.engine.connect() as connection:
        oldest = connection.scalar(text("SELECT oldest FROM compatibility"))
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    for script in scripts.walk_revisions():  # newest first
        if script.revision == oldest:
            break
        assert script.module.older_code_works
    assert not getattr(script.module, "older_code_works", False)
