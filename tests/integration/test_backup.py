"""Backups of a running service, restored elsewhere."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import update

import raiw
from raiw.canonical import digest_of
from service.embedded.state import StateFolder
from service.jobs.keeping import BLOBS, MASKS
from service.jobs.queries import get_job
from service.jobs.services import Services
from service.jobs.stored import open_masks
from service.settings import Settings
from service.store import jobs, migrate
from service.store.tables import JobRow
from tests.integration.objects.deeds import (
    CRAFTED,
    SPEC,
    ask,
    crafted,
    data,
    is_there,
    put,
    scrubbed,
)
from tests.integration.pools import pool
from tests.integration.s3 import S3
from tests.integration.stack import Postgres, Sqlite, Stack
from worker.runner import run_job

Acted = TypeVar("Acted")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raiw", *words],
        env=CLEAN | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def spec(number: int) -> dict[str, Any]:
    return {"layers": SPEC["layers"], "craft": {"degree": 4, "seed": number}}


def under_load(stack: Stack, act: Callable[[], Acted]) -> tuple[list[tuple[int, str]], Acted]:
    """Act while two clients submit jobs; return those acknowledged before, and what came of it."""
    acknowledged: list[tuple[int, str]] = []
    ended = threading.Event()

    def submit(number: int) -> None:
        while not ended.is_set():
            answer = stack.submit(spec(number))
            if answer.status_code == 202:
                acknowledged.append((number, answer.json()["id"]))
            number += 2

    clients = [threading.Thread(target=submit, args=(1000 + first,)) for first in range(2)]
    for client in clients:
        client.start()
    while len(acknowledged) < 30:
        ended.wait(0.02)
    before = list(acknowledged)
    try:
        return before, act()
    finally:
        ended.set()
        for client in clients:
            client.join()


def let_all_start(services: Services) -> None:
    with services.database.write() as session:
        session.execute(update(JobRow).values(run_after=JobRow.created_at))


def test_every_job_acknowledged_before_a_backup_under_load_is_in_it(
    stack: Stack, tmp_path: Path, forks: None
) -> None:
    scores = tmp_path / "scores.safetensors"
    scores.write_bytes(data(1))
    done = stack.client.craft(SPEC, scores).wait(300)
    place, elsewhere = str(tmp_path / "backups"), tmp_path / "elsewhere"
    before, taken = under_load(
        stack, lambda: command("backup", place, "--json", **stack.environment)
    )
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["jobs"] >= len(before)
    restored = command("restore", place, RAIW_STATE_DIR=str(elsewhere))
    assert restored.returncode == 0, restored.stderr
    services = Services.open(Settings(state_dir=elsewhere, min_free_bytes=0))
    let_all_start(services)
    for number, job_id in before[-3:]:
        run_job(pool(services), job_id)  # those that had not ended go on
        job = get_job(services, job_id)
        assert (job.status, job.error) == ("succeeded", None)
        assert job.result is not None
        assert job.result.digest == raiw.craft(spec(number)).digest
    for _, job_id in before:
        assert get_job(services, job_id).status in ("queued", "succeeded")
    assert is_there(services, BLOBS, digest_of(data(1)))
    assert is_there(services, MASKS, done.digest)
    assert scrubbed(services).sound
    services.database.close()


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    """One of either kind."""
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server, file = Postgres(Path(folder)), Sqlite(Path(folder))
        yield {"postgres": server.url, "sqlite": file.url}
        server.stop()


End = Callable[[str], tuple[dict[str, str], Services]]


@pytest.fixture
def end(databases: dict[str, str], s3: S3, tmp_path: Path, forks: None) -> End:
    """Open an empty deployment: PostgreSQL with a bucket, or SQLite with a folder."""

    def opened(kind: str) -> tuple[dict[str, str], Services]:
        variables = {
            "RAIW_STATE_DIR": str(tmp_path / kind),
            "RAIW_DATABASE_URL": databases[kind],
            "RAIW_OBJECTS": s3.url() if kind == "postgres" else "",
            "RAIW_MIN_FREE_BYTES": "0",
        }
        values = {name.removeprefix("RAIW_").lower(): value for name, value in variables.items()}
        services = Services.open(Settings(**values))
        migrate.upgrade(services.database)
        migrate.downgrade(services.database, "base")
        migrate.upgrade(services.database)
        return s3.environment() | variables, services

    return opened


def claimed(services: Services, **body: Any) -> str:
    """Ask for a job that a worker takes, who is never seen again."""
    job_id, _ = ask(services, **body)
    with services.database.write() as session:
        now = services.database.now(session)
        assert jobs.claim(session, job_id, "nobody", timedelta(0), now)
    return job_id


@pytest.mark.parametrize(("here", "there"), [("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_backup_goes_from_one_kind_of_database_and_store_to_the_other(
    end: End, here: str, there: str, s3: S3
) -> None:
    variables, services = end(here)
    scores, made, place = put(services, 1), crafted(services), s3.url()
    running, canceling = claimed(services, importance=scores), claimed(services, spec=spec(5))
    with services.database.write() as session:
        jobs.cancel(session, canceling, services.database.now(session))
    assert command("backup", place, **variables).returncode == 0
    taken = command("backup", place, "--keep", "1", "--json", **variables)
    assert json.loads(taken.stdout)["removed"] == 1, taken.stderr
    services.database.close()

    variables, services = end(there)
    restored = command("restore", place, **variables)
    assert restored.returncode == 0, restored.stderr
    assert get_job(services, made.id).result == made.result
    masks = open_masks(services, CRAFTED.digest)
    assert b"".join(masks.read(0, masks.row.size)) == CRAFTED.to_bytes()
    assert b"".join(services.artifacts.read(scores, 0, len(data(1)))) == data(1)
    assert ask(services)[1] == "hit"
    assert get_job(services, canceling).status == "canceled"
    assert (get_job(services, running).status, get_job(services, running).attempt) == ("queued", 1)
    assert ask(services, spec=spec(6))[1] == "created"  # numbers of rows go on
    let_all_start(services)
    run_job(pool(services), running)
    assert get_job(services, running).status == "succeeded"
    refused = command("restore", place, **variables)
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert command("restore", place, "--force", **variables).returncode == 0
    assert get_job(services, running).status == "queued"
    services.database.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Backups of a small service."""
    settings = Settings(state_dir=tmp_path / "here", min_free_bytes=0)
    settings.state_dir.mkdir()
    migrate.migrate(settings)
    services = Services.open(settings)
    for number in range(2):
        put(services, number)
    services.database.close()
    place = tmp_path / "backups"
    taken = command("backup", str(place), RAIW_STATE_DIR=str(tmp_path / "here"))
    assert taken.returncode == 0, taken.stderr
    return place


def restored_into(folder: Path, place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return command("restore", str(place), *more, RAIW_STATE_DIR=str(folder))


def test_only_what_is_missing_is_copied(place: Path, tmp_path: Path) -> None:
    files = {path: path.stat() for path in place.glob("sha256/*/*/*")}
    assert command("backup", str(place), RAIW_STATE_DIR=str(tmp_path / "here")).returncode == 0
    for path, status in files.items():
        assert path.stat().st_ino == status.st_ino
    assert len(list(place.glob("backups/*.json"))) == 2


def test_what_is_damaged_in_a_backup_is_named_and_the_rest_restored(
    place: Path, tmp_path: Path
) -> None:
    digests = [digest_of(data(number)) for number in range(2)]
    (path,) = place.glob(f"sha256/*/*/{digests[0][7:]}")
    path.write_bytes(b"!" * len(data(0)))
    done = restored_into(tmp_path / "there", place)
    assert done.returncode == 6, done.stderr
    assert f"lost: {digests[0]}" in done.stdout
    services = Services.open(Settings(state_dir=tmp_path / "there", min_free_bytes=0))
    assert [is_there(services, BLOBS, digest) for digest in digests] == [False, True]
    services.database.close()


def test_a_backup_without_its_rows_is_refused(place: Path, tmp_path: Path) -> None:
    (listed,) = place.glob("backups/*.json")
    rows = json.loads(listed.read_text())["rows"]
    (path,) = place.glob(f"sha256/*/*/{rows[7:]}")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = restored_into(tmp_path / "there", place)
    assert done.returncode == 5
    assert "--at" in done.stderr
    assert restored_into(tmp_path / "there", tmp_path / "nowhere").returncode == 5
    assert restored_into(tmp_path / "there", place, "--at", "x").returncode == 5


def test_an_older_backup_is_brought_forward(place: Path, tmp_path: Path) -> None:
    (listed,) = place.glob("backups/*.json")
    document = json.loads(listed.read_text())
    (path,) = place.glob(f"sha256/*/*/{document['rows'][7:]}")
    shutil.copy(path, tmp_path / "old.sqlite")
    down = command(
        "migrate", "--to", "0009", RAIW_DATABASE_URL=f"sqlite:///{tmp_path / 'old.sqlite'}"
    )
    assert down.returncode == 0, down.stderr
    with sqlite3.connect(tmp_path / "old.sqlite") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    old = (tmp_path / "old.sqlite").read_bytes()
    digest = digest_of(old)
    target = place / "sha256" / digest[7:9] / digest[9:11] / digest[7:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(old)
    listed.write_text(json.dumps(document | {"rows": digest, "revision": "0009"}))
    done = restored_into(tmp_path / "there", place)
    assert done.returncode == 0, done.stderr
    services = Services.open(Settings(state_dir=tmp_path / "there", min_free_bytes=0))
    assert is_there(services, BLOBS, digest_of(data(1)))
    services.database.close()


def test_a_folder_that_is_served_is_not_restored_into(place: Path, tmp_path: Path) -> None:
    with StateFolder(tmp_path / "here"):
        done = restored_into(tmp_path / "here", place, "--force")
    assert done.returncode == 2
    assert "already served" in done.stderr
