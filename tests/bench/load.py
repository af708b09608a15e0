"""What one API process serves: ``python -m tests.bench.load``.

For SQLite and Valkey, and for PostgreSQL and Valkey: polls answered with 304, polls with the job,
submits of new jobs, submits of a stored one, and downloads of a mask file of 64 MiB. No worker
runs meanwhile. Printed for each: requests a second, latency, and milliseconds of processor time
that the API and the database took for one, which other programs on the machine do not change. The
floors of the same run are, for small answers, ``/livez`` of the same server; for the file, Python's
own ``http.server`` and, where it is installed, nginx with sendfile, from the same folder.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from service.tether import tied
from tests.bench.requests import Measured, request, send
from tests.integration.stack import Postgres, Stack, children, eventually, free_port

CONNECTIONS = 16
_TICK = os.sysconf("SC_CLK_TCK")
MASK = {
    "layers": [
        {"name": f"fc{i}", "kind": "linear", "in_features": 8192, "out_features": 8192}
        for i in range(8)
    ],
    "craft": {"algorithm": "regular", "degree": 1},
}
"""Its file has 64 MiB: a bit for each of 2^29 possible edges."""
_numbers = itertools.count(time.time_ns() % 2**40)


def small() -> dict[str, Any]:
    """Return a spec that was never asked for."""
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 64, "out_features": 64}
        for i in range(4)
    ]
    return {"layers": layers, "craft": {"degree": 8, "seed": next(_numbers)}}


def submit(spec: dict[str, Any]) -> bytes:
    """Return a request to craft a spec."""
    return request("POST", "/v1/jobs", json.dumps({"spec": spec}).encode())


def processor_seconds(pids: list[int]) -> float:
    """Return what processes, and those of theirs that have ended, have taken of the processor."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICK


class Load:
    """One deployment under load."""

    def __init__(self, stack: Stack, scale: float) -> None:
        self._stack = stack
        self._scale = scale
        self._stored = small()
        worker = stack.start_worker()
        for spec in (self._stored, MASK):
            stack.wait(stack.submit(spec).json()["id"])
        worker.stop()
        stack.workers.clear()

    def measure(self) -> None:
        """Print a line for each kind of request."""
        self._small_answers()
        self._downloads()
        self._drain()

    def _small_answers(self) -> None:
        self._row("GET /livez", itertools.repeat(request("GET", "/livez")), 4000, 200)
        job = self._stack.submit(small()).json()
        path = job["urls"]["self"]
        etag = self._stack.http.get(path).headers["etag"]
        unchanged = request("GET", path, If_None_Match=etag)
        self._row("poll, 304", itertools.repeat(unchanged), 6000, 304)
        asked = {"owner": "local", "scopes": ["jobs:read"]}
        key = self._stack.http.post("/v1/keys", json=asked).json()["key"]
        keyed = request("GET", path, If_None_Match=etag, Authorization=f"Bearer {key}")
        self._row("poll, 304, with a key", itertools.repeat(keyed), 6000, 304)
        self._row("poll, 200", itertools.repeat(request("GET", path)), 3000, 200)
        self._row("submit, new", map(submit, iter(small, None)), 2000, 202)
        self._row("submit, stored", itertools.repeat(submit(self._stored)), 2000, 200)

    def _downloads(self) -> None:
        job = self._stack.submit(MASK).json()
        path = f"/v1/masks/{job['result']['digest']}/file"
        folder = self._stack.folder / "files"
        folder.mkdir()
        file = folder / "masks.safetensors"
        file.write_bytes(self._stack.http.get(path).content)
        file.chmod(0o644)
        for name, url, command in plain_servers(folder):
            with running(command, url):
                floor = self._row(
                    name, itertools.repeat(request("GET", f"/{file.name}")), 16, 200, url
                )
                ours = self._row("mask of 64 MiB", itertools.repeat(request("GET", path)), 16, 200)
            ratio = floor.seconds / ours.seconds
            print(
                f"  mask / {name}: {ratio:.2f} of {floor.bytes / floor.seconds / 2**20:.0f} MiB/s"
            )

    def _drain(self) -> None:
        """Let a worker craft some jobs; what each costs the API and the database besides."""
        self._stack.start_worker()
        self._wait_for(5)
        api, database, began = [self._stack.api_pid], self._database(), time.perf_counter()
        before = processor_seconds(api), processor_seconds(database)
        jobs = self._wait_for(max(20, round(200 * self._scale)))
        taken = processor_seconds(api) - before[0], processor_seconds(self._database()) - before[1]
        print(
            f"  {'job, by a worker':24} {jobs / (time.perf_counter() - began):8.0f}/s   processor: "
            f"API {1000 * taken[0] / jobs:6.3f} ms, database {1000 * taken[1] / jobs:6.3f} ms; "
            f"{len(self._database())} processes of the database",
            flush=True,
        )

    def _wait_for(self, jobs: int) -> int:
        """Wait until some jobs more have succeeded; return how many."""
        before = self._count("succeeded")
        while (done := self._count("succeeded") - before) < jobs:
            assert self._stack.workers[-1].alive, self._stack.log.read_text()[-2000:]
            time.sleep(0.5)
        return done

    def _count(self, status: str) -> int:
        text = self._stack.http.get("/metrics").text
        (line,) = (one for one in text.splitlines() if f'raiw_jobs{{status="{status}"}}' in one)
        return round(float(line.split()[1]))

    def _row(
        self, name: str, requests: Iterator[bytes], count: int, status: int, url: str = ""
    ) -> Measured:
        count = max(16, round(count * self._scale))
        api, database = [self._stack.api_pid], self._database()
        before = processor_seconds(api), processor_seconds(database)
        measured = in_a_process(url or self._stack.url, list(itertools.islice(requests, count)))
        taken = processor_seconds(api) - before[0], processor_seconds(database) - before[1]
        print(
            f"  {name:24} {measured.rate:8.0f}/s   p50 {measured.share(0.5):7.1f} ms   "
            f"p99 {measured.share(0.99):7.1f} ms   processor: API {1000 * taken[0] / count:6.3f} "
            f"ms, database {1000 * taken[1] / count:6.3f} ms",
            flush=True,
        )
        assert set(measured.statuses) == {status}, measured.statuses
        return measured

    def _database(self) -> list[int]:
        database = self._stack.database
        if not isinstance(database, Postgres):
            return []
        return [database.pid, *children(database.pid)]


def in_a_process(url: str, requests: list[bytes]) -> Measured:
    """Send from a process of its own, so that it shares nothing with the rest of this bench."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        sender.send(send(url, iter(requests), count=len(requests), connections=CONNECTIONS))

    process = context.Process(target=run)
    process.start()
    measured: Measured = receiver.recv()
    process.join()
    return measured


def plain_servers(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the file servers of this machine, their addresses and commands."""
    port = str(free_port())
    where = ["--bind", "127.0.0.1", "--directory", str(folder), "--protocol", "HTTP/1.1"]
    yield (
        "http.server",
        f"http://127.0.0.1:{port}",
        [sys.executable, "-m", "http.server", port, *where],
    )
    if nginx := shutil.which("nginx"):
        port = str(free_port())
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; "
            f"root {folder}; }} }}\n"
        )
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(conf)]
        yield "nginx", f"http://127.0.0.1:{port}", command


@contextmanager
def running(command: list[str], url: str) -> Iterator[None]:
    """Run a server until the end of the block."""
    process = subprocess.Popen(tied(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(url).status_code > 0
        return False

    try:
        eventually(answers, 20)
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all counts")
    asked = parser.parse_args()
    for kind in asked.deployments:
        print(f"{kind}, one API process, {CONNECTIONS} connections:", flush=True)
        settings = {"RAIW_MIN_FREE_BYTES": "0", "RAIW_KEY_SECRET": "k" * 32}
        stack = Stack(kind, settings=settings, durable=True)
        try:
            Load(stack, asked.scale).measure()
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
