"""Many jobs while processes of every kind are killed, and an account of what became of each."""

import hashlib
import itertools
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import httpx
import numpy as np
from safetensors.numpy import save_file

import raiw
from tests.integration.stack import Postgres, Stack, children

SIDE = 96
CLIENTS = 4
WORKERS = 2
_OUTAGE_SECONDS = 0.5
_PATIENCE_SECONDS = 600.0


class ObjectStore(Protocol):
    """A server of objects that can be killed and started again."""

    def kill(self) -> None:
        """End it as a power cut does."""

    def start(self) -> None:
        """Start it, and wait until it answers."""


@dataclass(slots=True)
class Account:
    """What a campaign found; everything but the kills and the seconds should be nothing."""

    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Jobs that were acknowledged and are not known any more."""
    stuck: list[str] = field(default_factory=list)
    """Jobs that have not succeeded."""
    doubled: list[str] = field(default_factory=list)
    """Jobs that ended more than once."""
    wrong: list[str] = field(default_factory=list)
    """Jobs whose masks are not the library's, bit for bit."""
    seconds: list[float] = field(default_factory=list)
    """From creation to success, of each job."""
    attempts: Counter[int] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether every job has ended once, with the right bytes."""
        return not (self.lost or self.stuck or self.doubled or self.wrong)

    def share(self, part: float) -> float:
        """Return the latency that ``part`` of the jobs stay below."""
        return sorted(self.seconds)[min(int(part * len(self.seconds)), len(self.seconds) - 1)]

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {what}" for what, count in sorted(self.kills.items()))
        attempts = ", ".join(f"{n}: {count}" for n, count in sorted(self.attempts.items()))
        return (
            f"{self.jobs} jobs under {self.kills.total()} kills ({kills})\n"
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, wrong {len(self.wrong)}, "
            f"stuck {len(self.stuck)}\n"
            f"latency p50 {statistics.median(self.seconds):.2f} s, p99 {self.share(0.99):.1f} s, "
            f"longest {max(self.seconds):.1f} s; jobs by attempts {attempts}"
        )


class Campaign:
    """Jobs from several clients at a steady rate, and kills spread over the same time.

    Jobs, kills and their order follow from ``seed``; what meets what is the machine's doing.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        jobs: int,
        kills: int,
        per_second: float,
        seed: int,
        clients: int = CLIENTS,
        objects: ObjectStore | None = None,
    ) -> None:
        self._stack = stack
        self._clients = clients
        self._objects = objects
        self._jobs = jobs
        self._kills = kills
        self._seconds = jobs / per_second
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, guards nothing
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._scores = stack.folder / f"scores-{seed}.safetensors"
        save_file({"fc1": rng.standard_normal((SIDE, SIDE)).astype(np.float32)}, self._scores)
        self._numbers = itertools.count()
        self._accepted: dict[int, str] = {}
        self._account = Account(jobs=jobs)

    def run(self) -> Account:
        """Send the jobs, kill, wait until all is calm, and count."""
        for _ in range(WORKERS):
            self._stack.start_worker()
        digest = self._upload()
        began = time.monotonic()
        clients = [
            threading.Thread(target=self._send, args=(began, digest)) for _ in range(self._clients)
        ]
        for client in clients:
            client.start()
        self._kill_now_and_then(began)
        for client in clients:
            client.join()
        self._wait()
        self._count()
        return self._account

    def _upload(self) -> str:
        file = self._scores.read_bytes()
        digest = "sha256:" + hashlib.sha256(file).hexdigest()
        self._stack.http.put(f"/v1/blobs/{digest}", content=file).raise_for_status()
        return digest

    def _spec(self, number: int) -> tuple[dict[str, Any], bool]:
        """Return a job's spec, and whether it takes the scores; some ask for the same as others."""
        number -= number % 7 == 6
        large = number % 10 == 1  # half a second or more, so that kills meet work under way
        side = 2048 if large else SIDE
        layers = [
            {"name": f"fc{i}", "kind": "linear", "in_features": side, "out_features": side}
            for i in range(1, 2 if number % 3 == 0 else 5)
        ]
        craft = {"degree": 600 if large else 1 + number % 9}
        craft["seed"] = self._seed * 1_000_000 + number
        return {"layers": layers, "craft": craft}, number % 3 == 0 and not large

    def _send(self, began: float, scores: str) -> None:
        with httpx.Client(base_url=self._stack.url, timeout=240) as http:
            while (number := next(self._numbers)) < self._jobs:
                due = began + self._seconds * number / self._jobs
                time.sleep(max(0.0, due - time.monotonic()))
                spec, scored = self._spec(number)
                body = {"spec": spec, **({"importance": scores} if scored else {})}
                self._accepted[number] = self._submit(http, body)

    def _submit(self, http: httpx.Client, body: dict[str, Any]) -> str:
        """Ask until the service has acknowledged the job, as a client in a pipeline does."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = http.post("/v1/jobs", json=body)
                if answer.status_code in (200, 202):
                    return str(answer.json()["id"])
                assert answer.status_code in (500, 503), answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "the service did not come back"
            time.sleep(0.2)

    def _kill_now_and_then(self, began: float) -> None:
        victims: dict[str, Callable[[], None]] = {
            "worker": self._kill_worker,
            "pool process": self._kill_pool_process,
            "API": lambda: self._stack.restart_api(away=_OUTAGE_SECONDS),
            "broker": self._kill_broker,
        }
        if isinstance(self._stack.database, Postgres):
            victims["database"] = self._kill_database
        if self._objects is not None:
            victims["object store"] = self._kill_objects
        times = sorted(self._random.uniform(0.02, 0.98) for _ in range(self._kills))
        for share, victim in zip(times, itertools.cycle(victims), strict=False):
            time.sleep(max(0.0, began + share * self._seconds - time.monotonic()))
            victims[victim]()
            self._account.kills[victim] += 1

    def _kill_worker(self) -> None:
        worker = self._random.choice(self._stack.workers)
        self._stack.workers.remove(worker)
        worker.kill()
        self._stack.start_worker()

    def _kill_pool_process(self) -> None:
        processes = list(children(self._random.choice(self._stack.workers).pid))
        os.kill(self._random.choice(processes), signal.SIGKILL)

    def _kill_broker(self) -> None:
        self._stack.broker.stop()
        time.sleep(_OUTAGE_SECONDS)
        self._stack.broker.start()

    def _kill_database(self) -> None:
        assert isinstance(self._stack.database, Postgres)
        self._stack.database.crash()

    def _kill_objects(self) -> None:
        assert self._objects is not None
        self._objects.kill()
        time.sleep(_OUTAGE_SECONDS)
        self._objects.start()

    def _wait(self) -> None:
        """Wait for each job in turn; after one that does not end, the others get a look only."""
        patience = _PATIENCE_SECONDS
        for job_id in self._accepted.values():
            ends = time.monotonic() + patience
            while not self._has_ended(job_id):
                if time.monotonic() > ends:
                    patience = 0
                    break

    def _has_ended(self, job_id: str) -> bool:
        answer = self._stack.http.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=10"})
        return answer.status_code == httpx.codes.NOT_FOUND or answer.json().get("done", False)

    def _count(self) -> None:
        account = self._account
        for number, job_id in sorted(self._accepted.items()):
            answer = self._stack.http.get(f"/v1/jobs/{job_id}")
            if not answer.is_success:
                account.lost.append(job_id)
                continue
            view = answer.json()
            if view["status"] != "succeeded":
                account.stuck.append(f"{job_id} {view['status']} {view['error']}")
                continue
            ends = [e for e in self._stack.events(job_id) if e["data"].get("status") == "succeeded"]
            if len(ends) != 1:
                account.doubled.append(job_id)
            created, finished = map(
                datetime.fromisoformat, (view["created_at"], view["finished_at"])
            )
            account.seconds.append((finished - created).total_seconds())
            account.attempts[view["attempt"]] += 1
            self._compare(number, job_id, view["result"])

    def _compare(self, number: int, job_id: str, result: dict[str, Any]) -> None:
        spec, scored = self._spec(number)
        here = raiw.craft(spec, self._scores if scored else None)
        file = self._stack.http.get(f"/v1/masks/{result['digest']}/file").content
        there = raiw.load(file)  # of the first job that made these masks
        same = here.keys() == there.keys() and all(
            np.array_equal(mask.numpy(), there[name].numpy()) for name, mask in here.items()
        )
        if result["digest"] != here.digest or not same:
            self._account.wrong.append(job_id)
