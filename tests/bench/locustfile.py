"""People and pipelines at a running service: ``locust -f tests/bench/locustfile.py``.

It comes with ``pip install 'raiw[load]'``; the service may need a token, in RAIW_TOKEN:

    locust -f tests/bench/locustfile.py --host http://127.0.0.1:8321 --headless -u 50 -r 10 -t 1m

A pipeline uploads scores, submits a job, polls it with its ETag until it has ended, and downloads
the masks; an impatient one waits by ``Prefer: wait``; a CI job asks for what is stored already.
"""

import hashlib
import itertools
import os
import random
from typing import Any

import numpy as np
from locust import FastHttpUser, between, task
from safetensors.numpy import save

SIDE = 256
_numbers = itertools.count(random.SystemRandom().randrange(1 << 40))


def spec(seed: int) -> dict[str, Any]:
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
        for i in range(4)
    ]
    return {"layers": layers, "craft": {"degree": 16, "seed": seed}}


def scores(seed: int) -> bytes:
    values = np.random.default_rng(seed).standard_normal((4, SIDE, SIDE), dtype=np.float32)
    return save({f"fc{i}": values[i] for i in range(4)})


class Client(FastHttpUser):
    """What all have in common."""

    abstract = True
    wait_time = between(0.1, 1.0)

    def on_start(self) -> None:
        token = os.environ.get("RAIW_TOKEN")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def submit(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", json=body, headers=self.headers | headers)
        job: dict[str, Any] = answer.json()
        return job

    def download(self, job: dict[str, Any]) -> None:
        path = f"/v1/masks/{job['result']['digest']}/file"
        name = "/v1/masks/{digest}/file"
        with self.client.get(path, name=name, headers=self.headers, catch_response=True) as answer:
            if hashlib.sha256(answer.content).hexdigest() != job["result"]["file_sha256"][-64:]:
                answer.failure("the bytes are not those of the digest")


class Pipeline(Client):
    """Uploads, submits, polls, downloads."""

    weight = 3

    @task
    def craft(self) -> None:
        number = next(_numbers)
        file = scores(number)
        digest = f"sha256:{hashlib.sha256(file).hexdigest()}"
        upload = f"/v1/blobs/{digest}"
        self.client.put(upload, data=file, name="/v1/blobs/{digest}", headers=self.headers)
        job = self.submit({"spec": spec(number), "importance": digest})
        etag = ""
        while not job.get("done"):
            headers = self.headers | ({"If-None-Match": etag} if etag else {})
            name = "/v1/jobs/{id} (poll)"
            with self.client.get(
                job["urls"]["self"], name=name, headers=headers, catch_response=True
            ) as answer:
                if answer.status_code == 304:
                    answer.success()
                elif answer.ok:
                    job, etag = answer.json(), answer.headers["ETag"]
            self.wait()
        self.download(job)


class Impatient(Client):
    """Waits for the answer."""

    weight = 1

    @task
    def craft(self) -> None:
        job = self.submit({"spec": spec(next(_numbers))}, Prefer="wait=20")
        if job.get("done"):
            self.download(job)


class Ci(Client):
    """Asks for one of ten specs, which are stored but for the first time."""

    weight = 6

    @task
    def craft(self) -> None:
        self.submit({"spec": spec(random.randrange(10))})  # noqa: S311
