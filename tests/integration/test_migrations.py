"""The chain of migrations: it keeps what is stored, and can be walked both ways."""

import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Engine,
    Table,
    TypeDecorator,
    create_engine,
    inspect,
    select,
    text,
)

import migrations
import raiw
from service.settings import Settings
from service.store import migrate, requests, revisions
from service.store.database import Database
from service.store.migrate import downgrade, upgrade
from service.store.records import Record
from service.store.tables import JobRow, MasksRow, NetworkRow
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


def test_what_was_there_is_local_and_what_owners_have_becomes_one_again(
    database: Database,
) -> None:
    upgrade(database, "0009")
    now = datetime.now(UTC)
    digest = f"sha256:{'a' * 64}"
    masks = {
        "digest": digest, "file_sha256": digest, "size": 3, "chunks": 1, "document": "{}",
        "measure_attempts": 0, "pinned": True, "created_at": now, "used_at": now,
    }  # fmt: skip
    job = {
        "id": "job_1", "kind": "craft", "status": "queued", "content_key": "k", "algorithm": "raiw",
        "note": "{}", "queue": "raiw.cpu", "timeout_seconds": 1.0, "max_attempts": 3, "attempt": 0,
        "phase": "queued", "completed": 0, "total": 1, "events": 1, "created_at": now,
        "run_after": now, "mask_digest": digest,
    }  # fmt: skip
    rows = {
        "masks": masks,
        "mask_chunks": {"digest": digest, "number": 0, "data": b"abc"},
        "results": {"content_key": "k", "mask_digest": digest, "created_at": now},
        "outcomes": {"content_key": "t", "document": "{}", "created_at": now},
        "blobs": {"digest": digest, "size": 3, "header": b"", "created_at": now, "pinned": False},
        "jobs": job,
        "job_events": {"job_id": "job_1", "seq": 1, "event": "status", "data": "{}",
                       "created_at": now},
    }  # fmt: skip
    with database.engine.begin() as connection:
        for table, row in rows.items():
            _insert(connection, table, row)
    before = _contents(database, rows)
    move(database, "head")
    with database.engine.begin() as connection:
        for table in rows.keys() - {"job_events"}:
            owners = connection.scalars(text(f"SELECT owner_id FROM {table}")).all()  # noqa: S608
            assert owners == ["local"]
        _insert(connection, "owners", {"id": "owner_2", "name": "two", "created_at": now})
        for table, row in rows.items():
            if table != "job_events":
                mine = {"id": "job_2"} if table == "jobs" else {}
                _insert(connection, table, row | mine | {"owner_id": "owner_2"})
    move(database, "0009")
    with database.engine.begin() as connection:
        ended = text("SELECT status FROM jobs WHERE id = 'job_2'")
        assert connection.scalar(ended) == "canceled"  # two cannot do the same at a time
        connection.execute(text("DELETE FROM jobs WHERE id = 'job_2'"))
    assert _contents(database, rows) == before
    move(database, "head")


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608


def _contents(database: Database, tables: Iterable[str]) -> dict[str, list[Any]]:
    with database.engine.connect() as connection:
        found = {table: connection.execute(text(f"SELECT * FROM {table}")) for table in tables}  # noqa: S608
        return {table: [dict(row) for row in rows.mappings()] for table, rows in found.items()}


def test_sqlite_tables_made_anew_keep_their_indexes_and_what_they_refer_to() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = Database(Settings(database_url=Sqlite(Path(folder)).url, state_dir=Path(folder)))
        upgrade(one)
        made = create_engine("sqlite://")
        Record.metadata.create_all(made)
        assert _schema(one.engine) == _schema(made)
        one.close()


def _schema(engine: Engine) -> tuple[set[str], set[Any]]:
    with engine.connect() as connection:
        words = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = {" ".join(sql.split()) for sql in connection.scalars(text(words))}
        names = Record.metadata.tables
        keys = {
            (table, key[2], key[3], key[4], key[6])
            for table in names
            for key in connection.execute(text(f"PRAGMA foreign_key_list({table})"))
        }
        return indexes, keys


VALUES: dict[str, Any] = {
    "requests.packed": zlib.compress(b'{"name": "n", "network": "digits-cnn"}'),
    "masks.document": {"layers": [], "spec": {"name": "n"}},
    "jobs.kind": "craft",
}
"""What migrations read; any other column holds what its type allows."""


def row_of(table: Table, number: int, made: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Make up a row, with everything in it that there can be."""
    row: dict[str, Any] = {}
    for column in table.columns:
        name = f"{table.name}.{column.name}"
        kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
        if column.foreign_keys:
            key = min(column.foreign_keys, key=lambda key: key.column.table.name)
            row[column.name] = made[key.column.table.name][number][key.column.name]
        elif name in VALUES:
            row[column.name] = VALUES[name]
        elif isinstance(kind, DateTime):
            row[column.name] = datetime.now(UTC)
        elif isinstance(kind, JSON):
            row[column.name] = [{"n": number}] if column.name.endswith("s") else {"n": number}
        else:
            types = {bool: True, bytes: b"bytes", str: f"t{number}", float: 1.0}
            row[column.name] = types.get(kind.python_type, number + 1)
    return row


def test_every_revision_goes_down_and_up_with_rows_in_every_table(database: Database) -> None:
    upgrade(database)
    made: dict[str, list[dict[str, Any]]] = {}
    with database.engine.begin() as connection:
        for table in Record.metadata.sorted_tables:
            if table.name == "compatibility":
                continue
            connection.execute(table.delete())
            made[table.name] = [row_of(table, number, made) for number in range(2)]
            connection.execute(table.insert(), made[table.name])
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    chain = [script.revision for script in scripts.walk_revisions()]  # newest first
    there = set(made)
    for revision in (*chain[1:], *chain[-2::-1]):  # down to the first, and up again
        before = rows_of(database, there)
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        revisions.take(database, revisions.step(migrate._config(), current, revision))
        there &= set(inspect(database.engine).get_table_names())
        assert rows_of(database, there) == {name: before[name] for name in there}
    assert there >= {"jobs", "masks", "blobs", "uploads"}


def current(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def rows_of(database: Database, tables: set[str]) -> dict[str, int]:
    with database.engine.connect() as connection:
        counted = (
            (name, connection.scalar(text(f"SELECT count(*) FROM {name}")))  # noqa: S608
            for name in sorted(tables)
        )
        return {name: number or 0 for name, number in counted}


def operate(database: Database, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``raiw migrate``."""
    url = database.engine.url.render_as_string(hide_password=False)
    return subprocess.run(
        [sys.executable, "-m", "raiw", "migrate", *words],
        env=os.environ | {"RAIW_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_step_back_is_looked_at_and_loses_nothing_unsaid(database: Database) -> None:
    assert operate(database, "--check").returncode == 6
    assert operate(database).returncode == 0
    assert operate(database, "--check").returncode == 0
    with database.write() as session:
        session.add(NetworkRow(host="h", name="n", revision="r", announced_at=datetime.now(UTC)))
        facts = {"unreached_outputs": 1, "unreached_inputs": 0, "shape": [2, 2], "groups": 1}
        document = {"layers": [{"name": "fc", "facts": facts}], "spec": {}}
        masks = MasksRow(digest="d", file_sha256="f", size=1, chunks=0, document=document)
        masks.created_at = masks.removed_at = datetime.now(UTC)
        masks.dead_units = [{"layer": "fc"}]
        session.add(masks)
    told = operate(database, "--to", "0005", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "DROP TABLE networks;" in told.stdout
    assert not any(line.startswith("SELECT") for line in told.stdout.splitlines())
    head = current(database)
    refused = operate(database, "--to", "0005")
    assert refused.returncode == 2
    assert "masks.removed_at of 1 rows" in refused.stderr
    assert "networks" not in refused.stderr  # workers announce them again
    assert "dead_units" not in refused.stderr  # the way forth finds them again
    assert "owners" not in refused.stderr  # the way forth makes the only one
    assert current(database) == head
    forced = operate(database, "--to", "0005", "--force")
    assert (forced.returncode, current(database)) == (0, "0005"), forced.stderr
    unknown = operate(database, "--to", "0055")
    assert (unknown.returncode, "0005" in unknown.stderr) == (2, True)
    assert operate(database, "--to", "head").returncode == 0
    assert current(database) == head


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
