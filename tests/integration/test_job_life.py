"""What a job goes through, with real servers, processes and signals."""

import hashlib
import itertools
import json
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import raiw
from raiw.errors import JobCanceled
from tests.integration.stack import Stack, eventually

_numbers = itertools.count(int(time.time()) % 1_000_000)


def small(layers: int = 3) -> dict:
    """A spec whose masks nobody has asked for before."""
    number = next(_numbers)
    return {
        "name": f"small-{number}",
        "layers": [
            {"name": f"fc{i}", "kind": "linear", "in_features": 32, "out_features": 48}
            for i in range(layers)
        ],
        "craft": {"degree": 6, "seed": number},
    }


def slow(layers: int = 60) -> dict:
    """A spec of some seconds: many layers, each of a good fraction of a second."""
    side = 3000
    return {
        "name": f"slow-{next(_numbers)}",
        "layers": [
            {"name": f"fc{i}", "kind": "linear", "in_features": side, "out_features": side}
            for i in range(layers)
        ],
        "craft": {"density": 0.5, "seed": next(_numbers)},
    }


def test_a_spec_becomes_the_masks_that_the_library_makes(stack: Stack) -> None:
    spec = small()
    response = stack.submit(spec)
    assert response.status_code == 202
    assert response.headers["location"].endswith(response.json()["urls"]["self"])
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["x-raiw-cache"] == "created"
    done = stack.wait(response.json()["id"])
    here = raiw.craft(spec)
    assert done["result"]["digest"] == here.digest
    file = stack.http.get(f"/v1/masks/{here.digest}/file")
    assert file.content == here.to_bytes()
    assert done["result"]["file_sha256"] == "sha256:" + hashlib.sha256(file.content).hexdigest()


def test_scores_are_uploaded_once_and_give_the_same_masks_as_here(stack: Stack, tmp_path) -> None:
    spec = raiw.Spec.parse(small())
    rng = np.random.default_rng(5)
    scores = {f"fc{i}": rng.standard_normal((48, 32)).astype(np.float32) for i in range(3)}
    job = stack.client.craft(spec, scores)
    there = job.result(timeout=300)
    assert there.digest == raiw.craft(spec, scores).digest
    assert raiw.verify(there, spec=spec, importance=scores).ok
    assert stack.client.craft(spec, scores).cache == "hit"


def test_the_preset_is_the_same_on_every_deployment(stack: Stack) -> None:
    masks = stack.client.craft("raiw/vgg16-d16").result(timeout=300)
    assert masks.weights == 754_368
    assert masks.digest == raiw.craft("raiw/vgg16-d16").digest


def test_waiting_is_one_request(stack: Stack) -> None:
    response = stack.http.post("/v1/jobs", json={"spec": small()}, headers={"Prefer": "wait=20"})
    assert response.json()["status"] == "succeeded"
    assert response.headers["preference-applied"].startswith("wait")


def test_an_equal_request_hits(stack: Stack) -> None:
    spec = small()
    first = stack.submit(spec).json()
    stack.wait(first["id"])
    again = stack.submit(spec)
    assert (again.status_code, again.headers["x-raiw-cache"]) == (200, "hit")
    assert again.json()["result"]["digest"] == stack.job(first["id"])["result"]["digest"]


def test_equal_requests_at_once_join_one_job(idle_stack: Stack) -> None:
    spec, answers = small(), []

    def ask() -> None:
        answers.append(idle_stack.submit(spec))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    outcomes = sorted(answer.headers["x-raiw-cache"] for answer in answers)
    assert outcomes == ["created"] + ["joined"] * 7


def test_a_poll_costs_nothing_while_nothing_changes(idle_stack: Stack) -> None:
    url = idle_stack.submit(small()).json()["urls"]["self"]
    first = idle_stack.http.get(url)
    again = idle_stack.http.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["retry-after"]


def test_events_resume_where_the_stream_broke(stack: Stack) -> None:
    job = stack.submit(small(8)).json()
    stack.wait(job["id"])
    whole = list(stream(stack, job["id"], last=None))
    assert whole[-1]["data"]["data"]["status"] == "succeeded"
    assert [event["id"] for event in whole] == [str(n) for n in range(1, len(whole) + 1)]
    rest = list(stream(stack, job["id"], last=whole[1]["id"]))
    assert rest == whole[2:]
    layers = [
        layer["name"]
        for event in stack.events(job["id"])
        if event["event"] == "progress"
        for layer in event["data"]["layers"]
    ]
    assert layers == [f"fc{i}" for i in range(8)]


def stream(stack: Stack, job_id: str, last: str | None):
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    with stack.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        event: dict = {}
        for line in response.iter_lines():
            field, _, value = line.partition(": ")
            if field in ("id", "event"):
                event[field] = value
            elif field == "data":
                event["data"] = json.loads(value)
            elif not line and "data" in event:
                yield event
                event = {}


def test_a_queued_job_is_canceled_at_once(idle_stack: Stack) -> None:
    job = idle_stack.submit(small()).json()
    canceled = idle_stack.http.post(job["urls"]["cancel"])
    assert canceled.status_code == 200
    assert canceled.json()["status"] == "canceled"
    assert idle_stack.http.post(job["urls"]["cancel"]).status_code == 200
    idle_stack.start_worker()
    time.sleep(1)
    assert idle_stack.job(job["id"])["attempt"] == 0


def test_a_running_job_stops(stack: Stack) -> None:
    job = stack.client.craft(slow())
    eventually(lambda: job.refresh() and job.progress.completed > 0)
    assert stack.http.post(job.view["urls"]["cancel"]).status_code == 202
    with pytest.raises(JobCanceled):
        job.result(timeout=240)
    assert 0 < job.progress.completed < 60


def test_an_ended_job_cannot_be_canceled(stack: Stack) -> None:
    job = stack.submit(small()).json()
    stack.wait(job["id"])
    refused = stack.http.post(job["urls"]["cancel"])
    assert (refused.status_code, refused.json()["code"]) == (409, "already-ended")


def test_a_job_nobody_started_in_time_expires(idle_stack: Stack) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    job = idle_stack.submit(small(), deadline_at=soon).json()
    assert idle_stack.wait(job["id"], "expired")["attempt"] == 0


def test_a_job_that_runs_too_long_fails_with_the_reason(stack: Stack) -> None:
    job = stack.submit(slow(), timeout_seconds=0.5).json()
    error = stack.wait(job["id"], "failed")["error"]
    assert error["code"] == "timeout"
    assert "timeout_seconds" in error["detail"]


def test_scores_that_forbid_every_graph_fail_with_the_layer(stack: Stack) -> None:
    spec = raiw.Spec.parse(small(1))
    forbidden = np.full((48, 32), -np.inf, np.float32)
    job = stack.client.craft(spec, {"fc0": forbidden})
    error = stack.wait(job.id, "failed")["error"]
    assert error["code"] == "infeasible"
    assert "fc0" in error["detail"]


def test_two_workers_and_one_job(stack: Stack) -> None:
    stack.start_worker()
    jobs = [stack.submit(small()).json()["id"] for _ in range(20)]
    for job_id in jobs:
        assert stack.wait(job_id)["attempt"] == 1
        starts = [e for e in stack.events(job_id) if e["data"].get("status") == "running"]
        assert len(starts) == 1
    stack.workers.pop().stop()


def test_the_job_of_a_killed_worker_is_finished_by_another_once(stack: Stack) -> None:
    job = stack.submit(slow(12)).json()
    eventually(lambda: stack.job(job["id"])["progress"]["completed"] > 0)
    stack.workers.pop().kill()
    stack.start_worker()
    done = stack.wait(job["id"], seconds=90)
    assert done["attempt"] == 2
    ends = [e for e in stack.events(job["id"]) if e["data"].get("status") == "succeeded"]
    assert len(ends) == 1


def test_a_worker_that_is_told_to_end_gives_its_job_back(stack: Stack) -> None:
    job = stack.submit(slow(12)).json()
    eventually(lambda: stack.job(job["id"])["progress"]["completed"] > 0)
    stack.workers.pop().stop()
    queued = stack.job(job["id"])
    assert (queued["status"], queued["max_attempts"] - queued["attempt"]) == ("queued", 3)
    stack.start_worker()
    stack.wait(job["id"], seconds=90)


def test_a_job_that_kills_every_worker_fails_in_the_end(idle_stack: Stack) -> None:
    job = idle_stack.submit(slow()).json()
    for attempt in range(1, 4):
        worker = idle_stack.start_worker()
        eventually(lambda n=attempt: idle_stack.job(job["id"])["attempt"] == n)
        idle_stack.workers.remove(worker)
        worker.kill()
    error = idle_stack.wait(job["id"], "failed")["error"]
    assert error["code"] == "worker-lost"


def test_a_job_is_accepted_while_the_broker_is_down(stack: Stack) -> None:
    stack.broker.stop()
    try:
        response = stack.submit(small())
        assert response.status_code == 202
        time.sleep(1)
        assert stack.job(response.json()["id"])["status"] == "queued"
    finally:
        stack.broker.start()
    stack.wait(response.json()["id"])


def test_a_flushed_broker_loses_no_job(idle_stack: Stack) -> None:
    jobs = [idle_stack.submit(small()).json()["id"] for _ in range(3)]
    eventually(lambda: idle_stack.broker.client.dbsize() > 0)
    idle_stack.broker.flush()
    idle_stack.start_worker()
    for job_id in jobs:
        assert idle_stack.wait(job_id)["attempt"] == 1


def test_the_database_goes_away_in_the_middle_of_a_job(stack: Stack) -> None:
    job = stack.submit(slow(12)).json()
    eventually(lambda: stack.job(job["id"])["progress"]["completed"] > 0)
    with stack.database.away():
        time.sleep(3)
    done = stack.wait(job["id"], seconds=90)
    assert done["result"]["digest"] == raiw.craft(done["spec"]).digest


def test_a_killed_api_keeps_every_accepted_job(stack: Stack) -> None:
    job = stack.submit(slow(4)).json()
    stack.restart_api()
    assert stack.wait(job["id"], seconds=90)["attempt"] == 1


def test_statistics_are_measured_when_somebody_asks(stack: Stack) -> None:
    digest = stack.wait(stack.submit(small()).json()["id"])["result"]["digest"]
    assert stack.http.get(f"/v1/masks/{digest}").json()["statistics"] is None
    url = f"/v1/masks/{digest}/statistics"
    asked = stack.http.get(url)
    assert (asked.status_code, asked.headers["retry-after"]) == (202, "1")
    measured = eventually(lambda: stack.http.get(url).json()["statistics"])
    assert stack.http.get(f"/v1/masks/{digest}").json()["statistics"] == measured
    here = raiw.load(stack.http.get(f"/v1/masks/{digest}/file").content)
    for name, mask in here.items():
        assert measured["layers"][name]["entropy"] == pytest.approx(mask.stats.entropy, abs=1e-12)


def test_a_file_is_downloaded_in_ranges(stack: Stack) -> None:
    digest = stack.wait(stack.submit(small()).json()["id"])["result"]["digest"]
    url = f"/v1/masks/{digest}/file"
    whole = stack.http.get(url)
    parts = [
        stack.http.get(url, headers={"Range": f"bytes={start}-{start + 999}"})
        for start in range(0, len(whole.content), 1000)
    ]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == whole.content
    assert {part.headers["repr-digest"] for part in parts} == {whole.headers["repr-digest"]}
    assert stack.http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
