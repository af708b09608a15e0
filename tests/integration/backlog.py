"""Many queued jobs: what they cost the API and the broker, and how they are worked off."""

import asyncio
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.integration.stack import Stack, eventually

CLIENTS = 4
_numbers = itertools.count(int(time.time() * 1000))


def spec(layers: int, name: str = "fc", side: int = 16) -> dict[str, Any]:
    """A spec nobody has asked for before, its layers named after ``name``."""
    return {
        "name": "one of many",
        "layers": [
            {"name": f"{name}{i}", "kind": "linear", "in_features": side, "out_features": side}
            for i in range(layers)
        ],
        "craft": {"degree": 2, "seed": next(_numbers)},
    }


@dataclass(slots=True)
class Step:
    """One thing done with the backlog."""

    name: str
    seconds: float
    mebibytes: float
    """Most memory of the API process meanwhile."""
    messages: int
    """Messages that the broker has taken meanwhile."""

    def __str__(self) -> str:
        return (
            f"{self.name:34} {self.seconds:8.2f} s   API {self.mebibytes:6.1f} MiB   "
            f"{self.messages} messages"
        )


@dataclass
class Backlog:
    """Jobs of so many layers, submitted while no worker is there."""

    stack: Stack
    layers: int
    name: str = "fc"
    tell: Callable[[Step], None] = lambda _step: None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what happens in the block."""
        before, began = self.messages(), time.perf_counter()
        self._forget_peak()
        yield
        seconds = time.perf_counter() - began
        self.tell(Step(name, seconds, self._peak(), self.messages() - before))

    def messages(self) -> int:
        """Return how many messages the broker has taken so far."""
        pushed = self.stack.broker.client.info("commandstats").get("cmdstat_lpush")
        return int(pushed["calls"]) if pushed else 0

    def held(self) -> int:
        """Return how many messages no worker has fetched."""
        return int(self.stack.broker.client.llen("raiw:raiw.cpu"))

    def submit(self, jobs: int) -> list[str]:
        """Submit jobs from several clients at once."""
        bodies = [{"spec": spec(self.layers, self.name)} for _ in range(jobs)]
        return self._each(bodies, lambda http, body: http.post("/v1/jobs", json=body))

    def cancel(self, ids: list[str]) -> None:
        """Cancel jobs from several clients at once."""
        self._each(ids, lambda http, job_id: http.post(f"/v1/jobs/{job_id}/cancel"))

    def queued(self) -> list[str]:
        """Walk through the list of queued jobs; return their ids."""
        found: list[str] = []
        token = ""
        while True:
            query = {"status": "queued", "page_size": 200, "page_token": token}
            page = self.stack.http.get("/v1/jobs", params=query).json()
            found += [item["id"] for item in page["items"]]
            token = page["next_page_token"]
            if not token:
                return found

    def count(self, status: str) -> int:
        """Return how many jobs are in a state, as the metrics tell."""
        text = self.stack.http.get("/metrics").text
        found = re.search(rf'^raiw_jobs{{status="{status}"}} (\S+)', text, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def drain(self, seconds: float) -> int:
        """Wait until no job is queued or the time is over; return how many are left."""
        give_up = time.monotonic() + seconds
        while (left := self.count("queued")) and time.monotonic() < give_up:
            time.sleep(0.5)
        return left

    def wait_together(self, job_id: str, clients: int) -> None:
        """Let many clients wait for a job, cancel it, and read its whole description in each."""

        async def wait(http: httpx.AsyncClient) -> None:
            headers = {"Prefer": "wait=30"}
            answer = await http.get(f"/v1/jobs/{job_id}", headers=headers)
            assert answer.json()["status"] == "canceled"

        async def wait_all() -> None:
            limits = httpx.Limits(max_connections=None)
            base = {"base_url": self.stack.url, "timeout": 120, "limits": limits}
            async with httpx.AsyncClient(**base) as http, asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(wait(http))
                await asyncio.sleep(5)
                (await http.post(f"/v1/jobs/{job_id}/cancel")).raise_for_status()

        asyncio.run(wait_all())

    def wait_until_idle(self) -> None:
        """Return once the workers have fetched all that the broker held."""
        eventually(lambda: self.held() == 0, seconds=120)

    def start_seconds(self) -> float:
        """Return how long a new job waits until a worker starts it, by the database's clock."""
        job = self.stack.submit(spec(1)).json()
        done = self.stack.wait(job["id"])
        started, created = (
            datetime.fromisoformat(done[name]) for name in ("started_at", "created_at")
        )
        return (started - created).total_seconds()

    def _each(
        self, items: list[Any], ask: Callable[[httpx.Client, Any], httpx.Response]
    ) -> list[str]:
        local = threading.local()
        clients: list[httpx.Client] = []

        def one(item: Any) -> str:
            if not hasattr(local, "http"):
                local.http = httpx.Client(base_url=self.stack.url, timeout=60)
                clients.append(local.http)
            answer = ask(local.http, item)
            answer.raise_for_status()
            return str(answer.json()["id"])

        with ThreadPoolExecutor(CLIENTS) as pool:
            done = list(pool.map(one, items))
        for client in clients:
            client.close()
        return done

    def _peak(self) -> float:
        status = Path(f"/proc/{self.stack.api_pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024

    def _forget_peak(self) -> None:
        Path(f"/proc/{self.stack.api_pid}/clear_refs").write_text("5")
