"""A database that freezes, is newer, or cannot hold our text; a broker that refuses: it is said."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.settings import Settings
from service.store.database import Database
from tests.integration.api.servers import Server, assert_problem, start_server
from tests.integration.stack import Broker, Postgres, eventually

LAYER = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4}
SPEC = {"layers": [LAYER], "craft": {"degree": 1}}
QUICK = {
    "database_connect_seconds": 2, "database_lock_seconds": 1, "database_statement_seconds": 1,
}  # fmt: skip
PATIENT = dict.fromkeys(QUICK, 600)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Broker]:
    server = Broker(folder, tcp=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(folder: Path, postgres: Postgres, broker: Broker) -> Iterator[Server]:
    running = start_server(
        folder / "state", database_url=postgres.url, broker_url=broker.url, **QUICK
    )
    yield running
    running.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    # A client's patience is the only clock here: seconds where 70 were seen.
    with httpx.Client(base_url=server.url, timeout=240) as client:
        yield client


def checks(http: httpx.Client) -> dict[str, str]:
    return dict(http.get("/readyz").json()["checks"])


def migrate(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    own = {"RAIW_DATABASE_URL": url, "RAIW_STATE_DIR": str(folder)}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}
    command = [sys.executable, "-m", "raiw", "migrate"]
    return subprocess.run(
        command, env=plain | own, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_frozen_database_holds_nobody(
    postgres: Postgres, server: Server, http: httpx.Client
) -> None:
    assert http.get("/readyz").status_code == 200
    told = http.get("/metrics").text
    assert "raiw_database_up 1.0" in told
    for pool in ("threads", "loop"):
        assert f'raiw_database_connections_limit{{pool="{pool}"}} 15.0' in told
    body = {"spec": SPEC}
    job = http.post("/v1/jobs", json=body).json()
    with postgres.frozen():
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "the database does not answer"
        answer = http.get("/metrics")
        assert answer.status_code == 200
        assert "raiw_database_up 0.0" in answer.text
        assert 'raiw_http_requests_total{method="POST"' in answer.text
        assert "raiw_jobs{" not in answer.text
        assert_problem(http.get(f"/v1/jobs/{job['id']}"), 503, "busy")
        assert_problem(http.post("/v1/jobs", json={"spec": SPEC, "kind": "craft"}), 503, "busy")
    eventually(lambda: http.get("/readyz").status_code == 200)
    eventually(lambda: http.post("/v1/jobs", json=body).status_code == 202)


def new(seed: int) -> dict[str, Any]:
    return {"spec": {"layers": [LAYER], "craft": {"degree": 1, "seed": seed}}}


def waiting(postgres: Postgres) -> int:
    """How many wait for a lock."""
    database = Database(Settings(database_url=postgres.url))
    with database.read() as session:
        found = session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
    database.close()
    return int(found or 0)


@contextmanager
def locked(postgres: Postgres) -> Iterator[None]:
    """Nobody can write or read a job until the end of the block."""
    database = Database(Settings(database_url=postgres.url, **PATIENT))
    with database.write() as session:
        session.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
        yield
    database.close()


def test_who_waits_for_a_lock_holds_nobody(
    folder: Path, postgres: Postgres, broker: Broker
) -> None:
    server = start_server(
        folder / "patient", database_url=postgres.url, broker_url=broker.url, **PATIENT
    )
    with ThreadPoolExecutor(8) as threads, httpx.Client(timeout=240) as http:
        with locked(postgres):
            sent = [
                threads.submit(httpx.post, f"{server.url}/v1/jobs", json=new(seed), timeout=600)
                for seed in range(8)
            ]
            eventually(lambda: waiting(postgres) >= 8)  # all, and perhaps the janitor
            for _ in range(3):
                assert http.get(f"{server.url}/livez").status_code == 200
            assert not any(one.done() for one in sent)
        assert {one.result().status_code for one in sent} == {202}
    server.stop()


def test_more_may_wait_than_there_are_connections(
    postgres: Postgres, server: Server, http: httpx.Client
) -> None:
    with ThreadPoolExecutor(32) as threads:
        with locked(postgres):
            sent = [
                threads.submit(httpx.post, f"{server.url}/v1/jobs", json=new(seed), timeout=240)
                for seed in range(100, 132)
            ]
            assert http.get("/livez").status_code == 200
        answers = [one.result() for one in sent]
    assert {answer.status_code for answer in answers} <= {202, 503}
    answers = [http.post("/v1/jobs", json=new(seed)) for seed in range(100, 132)]
    assert {answer.status_code for answer in answers} == {202}


def test_the_server_ends_what_takes_too_long(server: Server) -> None:
    with server.services.database.read() as session, pytest.raises(OperationalError):
        session.execute(text("SELECT pg_sleep(60)"))
    with server.services.database.read() as session:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        found = [session.scalar(text(f"SHOW {name}")) for name in names]
        assert found == ["1s", "1s", "1s"]
        assert session.scalar(text("SHOW tcp_user_timeout")) is not None


def test_the_url_has_the_last_word(postgres: Postgres) -> None:
    options = "options=-c%20statement_timeout%3D7s&application_name=mine"
    database = Database(Settings(database_url=f"{postgres.url}?{options}"))
    with database.read() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "7s"
        assert session.scalar(text("SHOW application_name")) == "mine"
    database.close()


@pytest.fixture
def newer(server: Server) -> Iterator[list[str]]:
    """The database after the migration of a newer version; the list takes its promise."""
    database = server.services.database
    with database.write() as session:
        revision = session.scalar(text("SELECT version_num FROM alembic_version"))
        oldest = session.scalar(text("SELECT oldest FROM compatibility"))
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    yield [revision]
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
        session.execute(text("UPDATE compatibility SET oldest = :o"), {"o": oldest})


@pytest.mark.parametrize("works", [True, False])
def test_a_newer_database(
    server: Server, http: httpx.Client, postgres: Postgres, newer: list[str], tmp_path: Path, *,
    works: bool,
) -> None:  # fmt: skip
    oldest = newer[0] if works else "9998"
    with server.services.database.write() as session:
        session.execute(text("UPDATE compatibility SET oldest = :o"), {"o": oldest})
    answer = http.get("/readyz")
    done = migrate(postgres.url, tmp_path)
    assert "Traceback" not in done.stderr
    told = done.stdout if works else done.stderr
    assert "the database is at revision 9999, newer than" in told
    assert answer.status_code == (200 if works else 503)
    assert done.returncode == (0 if works else 2)
    if not works:
        assert "9999" in answer.json()["checks"]["database"]


def test_a_database_that_is_not_utf8(postgres: Postgres, tmp_path: Path) -> None:
    for encoding in ("SQL_ASCII", "LATIN1"):
        done = migrate(postgres.create(encoding.lower(), encoding=encoding), tmp_path)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert f"encoded in {encoding}" in done.stderr
        assert "createdb --encoding UTF8" in done.stderr


def test_a_broker_that_refuses_workers_is_told(broker: Broker, http: httpx.Client) -> None:
    assert checks(http)["broker"] == "ok"
    broker.client.execute_command("ACL", "SETUSER", "default", "-brpop")
    assert "no permissions" in checks(http)["broker"]
    broker.client.execute_command("ACL", "SETUSER", "default", "+@all", "resetpass", ">secret")
    answer = http.get("/readyz")
    broker.client.execute_command("ACL", "SETUSER", "default", "nopass")
    assert answer.status_code == 200  # jobs are accepted, and wait
    assert "Authentication required" in answer.json()["checks"]["broker"]
    broker.client.config_set("maxclients", 1)
    assert "max number of clients" in checks(http)["broker"]
    broker.client.config_set("maxclients", 1000)
    broker._process.send_signal(signal.SIGSTOP)
    assert "jobs wait" in checks(http)["broker"]
    broker._process.send_signal(signal.SIGCONT)
    assert eventually(lambda: checks(http)["broker"] == "ok")
