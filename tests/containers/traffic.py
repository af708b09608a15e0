"""Clients that submit jobs while containers come and go, and what became of each job."""

import itertools
import threading
import time
from collections import Counter
from typing import Any

import httpx

import raiw

CLIENTS = 4
PAUSE_SECONDS = 0.25
_PATIENCE_SECONDS = 240.0


class Traffic:
    """Jobs are numbered, and each number is one spec."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=30)
        self.accepted: dict[int, str] = {}
        self.refused: list[str] = []
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._submit_all) for _ in range(CLIENTS)]

    def start(self) -> None:
        """Let the clients begin."""
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Let every client end what it has begun."""
        self._stop.set()
        for client in self._clients:
            client.join()

    def submit(self, spec: dict[str, Any]) -> str:
        """Ask until the service has acknowledged the job, as a client in a pipeline does."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self.http.post("/v1/jobs", json={"spec": spec})
                if answer.is_success:
                    return str(answer.json()["id"])
                if answer.is_client_error:
                    raise AssertionError(answer.text)
            except httpx.TransportError:
                pass
            assert time.monotonic() < ends, f"not accepted within {_PATIENCE_SECONDS:.0f} s"
            time.sleep(0.2)

    def finished(self, job_id: str) -> dict[str, Any]:
        """Return a job once it has ended."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self.http.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=10"})
                if answer.is_success and answer.json()["done"]:
                    job: dict[str, Any] = answer.json()
                    return job
                assert answer.status_code != httpx.codes.NOT_FOUND, f"{job_id} is lost"
            except httpx.TransportError:
                time.sleep(0.2)
            assert time.monotonic() < ends, f"{job_id} did not end"

    def count(self) -> Counter[str]:
        """Look at every accepted job: is it there, has it ended once, with the library's bytes."""
        found: Counter[str] = Counter()
        for number, job_id in sorted(self.accepted.items()):
            job = self.finished(job_id)
            found["accepted"] += 1
            found[job["status"]] += 1
            events = self.http.get(f"/v1/jobs/{job_id}/events", params={"page_size": 1000}).json()
            ends = [e for e in events["items"] if e["data"].get("status") == "succeeded"]
            found["ended more than once"] += len(ends) > 1
            digest = job["result"]["digest"] if job["result"] else ""
            file = self.http.get(f"/v1/masks/{digest}/file").content
            same = raiw.craft(small(number)).digest == digest == raiw.load(file).digest
            found["of other bytes"] += not same
        return found

    def _submit_all(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            number = next(self._numbers)
            try:
                self.accepted[number] = self.submit(small(number))
            except AssertionError as error:
                self.refused.append(f"job {number}: {error}")
                return


def small(number: int) -> dict[str, Any]:
    """Return the spec of a job of milliseconds; every fifth is asked for twice."""
    seed = number - (number % 5 == 4)
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 96, "out_features": 96}
        for i in range(1, 4)
    ]
    return {"layers": layers, "craft": {"degree": 1 + seed % 9, "seed": seed}}


def long() -> dict[str, Any]:
    """Return the spec of a job of half a minute, in one piece, so that a worker goes in between."""
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 2048, "out_features": 2048}
        for i in range(30)
    ]
    return {"layers": layers, "craft": {"degree": 600, "seed": 1}}
