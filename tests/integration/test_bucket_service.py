"""The whole service on hosts that share no folder, with everything large in a bucket."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import raiw
from raiw.canonical import digest_of_file
from tests.integration.s3 import S3
from tests.integration.stack import SETTINGS, Stack, eventually
from tests.integration.test_tasks import MASKS, RECIPE, THREADS, alone, epochs_told

SIDE = 512
SPEC = {
    "layers": [
        {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
        for i in range(12)
    ],
    "craft": {"degree": 16},
}


@pytest.fixture(scope="module")
def remote(s3: S3) -> Iterator[Stack]:
    settings = SETTINGS | {"RAIW_UNIT_CELLS": str(SIDE**2), "RAIW_MASKS_IN_DATABASE_BYTES": "0"}
    stack = Stack("postgres", settings, RAIW_OBJECTS=s3.url(), **s3.environment())
    yield stack
    stack.stop()


_hosts = itertools.count()


def start_host(stack: Stack) -> None:
    """Start a worker with a folder of its own."""
    folder = stack.folder / f"host-{next(_hosts)}"
    stack.start_worker(RAIW_ARTIFACT_DIR=str(folder), **THREADS)


def test_a_job_ends_though_workers_and_the_store_are_killed(
    remote: Stack, s3: S3, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    scores = tmp_path / "scores.safetensors"
    save_file({f"fc{i}": rng.random((SIDE, SIDE), np.float32) for i in range(12)}, scores)
    job = remote.client.craft(SPEC, scores)
    start_host(remote)
    eventually(lambda: any(one["event"] == "progress" for one in remote.events(job.id)))
    remote.workers.pop().kill()
    with s3.away():
        start_host(remote)
        start_host(remote)
        assert remote.http.get("/readyz").status_code == 503
        answer = remote.submit(SPEC, importance=digest_of_file(scores))
        assert answer.json()["code"] == "objects-away"
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    masks = job.result(300)
    expected = raiw.craft(SPEC, scores)
    assert masks == expected
    remote.restart_api()
    file = expected.to_bytes()
    url = f"/v1/masks/{expected.digest}/file"
    assert remote.http.get(url).content == file
    part = remote.http.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, file[100:200])
    remote.stop_workers()


def test_training_goes_on_on_another_host(remote: Stack) -> None:
    seed = 7
    chosen = {"recipe": RECIPE, "seeds": [seed]}
    start_host(remote)
    job = remote.client.train("digits-cnn", "digits", spec=MASKS, **chosen)
    eventually(lambda: len(epochs_told(remote, job.id)) > 2)
    remote.workers.pop().kill()
    start_host(remote)
    done = job.wait(300)
    told = epochs_told(remote, job.id)
    assert sorted(set(told)) == list(range(1, RECIPE["epochs"] + 1))
    again = told[told.index(max(told[:3])) + 1 :]
    assert 1 not in again, told
    (run,) = done.report["runs"]
    assert run["accuracy"] == alone(seed).report.accuracy
    remote.stop_workers()
