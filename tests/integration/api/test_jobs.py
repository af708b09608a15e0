"""Jobs over the wire: submit, wait, follow, cancel, list; the worker runs in this process."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy import select, update

from raiw.canonical import digest_of
from raiw.cli.app import run as command
from service.store import jobs as stored_jobs
from service.store.tables import JobRow, MasksRow
from tests.integration.api.servers import assert_problem
from tests.integration.pools import pool
from worker import runner

pytestmark = pytest.mark.usefixtures("forks")

SSE = {"Accept": "text/event-stream"}


def request(seed: int, **more) -> dict:
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 16, "out_features": 8} for i in range(3)
    ]
    return {"spec": {"layers": layers, "craft": {"degree": 4, "seed": seed}}, **more}


def run_job(server, job_id: str) -> None:
    """Run a job as a Celery worker would."""
    runner.run_job(pool(server.services), job_id)


@contextmanager
def worker(server, job_id: str, delay: float = 0.0):
    """Run a job beside the test."""
    thread = threading.Timer(delay, run_job, (server, job_id))
    thread.start()
    yield
    thread.join()


def events_of(text: str) -> list[dict]:
    blocks = [block for block in text.split("\n\n") if "data: " in block]
    return [
        dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        for block in blocks
    ]


def test_create_join_hit(http, server):
    created = http.post("/v1/jobs", json=request(1))
    assert created.status_code == 202
    assert created.headers["x-raiw-cache"] == "created"
    assert int(created.headers["retry-after"]) >= 1
    location = created.headers["location"]
    assert location == f"/v1/jobs/{created.json()['id']}"
    joined = http.post("/v1/jobs", json=request(1))
    assert (joined.status_code, joined.headers["x-raiw-cache"]) == (202, "joined")
    assert joined.headers["location"] == location
    run_job(server, created.json()["id"])
    hit = http.post("/v1/jobs", json=request(1))
    assert (hit.status_code, hit.headers["x-raiw-cache"]) == (200, "hit")
    assert "retry-after" not in hit.headers
    result = hit.json()["result"]
    file = http.get(f"/v1/masks/{result['digest']}/file")
    assert digest_of(file.content) == result["file_sha256"]
    assert len(file.content) == result["bytes"]


def test_a_plan_is_what_the_job_makes(http, server):
    plan = http.post("/v1/plan", json=request(2)).json()
    assert plan["edges"] == 3 * 16 * 4
    assert plan["layers"][0]["out_degree"] == [8, 8]
    assert not plan["stored"]
    job = http.post("/v1/jobs", json=request(2)).json()
    assert job["content_key"] == plan["content_key"]
    run_job(server, job["id"])
    assert http.post("/v1/plan", json=request(2)).json()["stored"]


def test_dead_units_stand_in_plans_and_jobs(http, server):
    spec = {"layers": request(0)["spec"]["layers"], "craft": {"edges": 5}}
    plan = http.post("/v1/plan", json={"spec": spec}).json()
    assert [(u["layer"], u["outputs"], u["inputs"]) for u in plan["dead_units"]] == [
        ("fc0", 3, 0), ("fc1", 3, 11), ("fc2", 3, 11),
    ]  # fmt: skip
    job = http.post("/v1/jobs", json={"spec": spec}).json()
    run_job(server, job["id"])
    with server.services.database.write() as session:  # the large document is not even read
        digest = select(JobRow.mask_digest).where(JobRow.id == job["id"]).scalar_subquery()
        session.execute(update(MasksRow).where(MasksRow.digest == digest).values(document={}))
    view = http.get(job["urls"]["self"]).json()
    assert view["result"]["dead_units"] == plan["dead_units"]
    again = http.post("/v1/jobs", json={"spec": spec})
    assert (again.status_code, again.json()["result"]) == (200, view["result"])
    listed = http.get("/v1/jobs").json()["items"]
    assert {item["id"]: item["result"] for item in listed}[job["id"]]["dead_units"] is None
    alive = spec | {"craft": {"edges": 5, "min_fan_in": 2, "keep_first": 1}}
    layers = http.post("/v1/plan", json={"spec": alive}).json()["layers"]
    assert [layer["edges"] for layer in layers] == [128, 16, 16]


def test_strict_refuses_what_a_server_crafts(http, server, tmp_path, capsys):
    """What only the scores decide is known when the job is done."""
    layers = request(0)["spec"]["layers"]
    spec = {"layers": layers, "craft": {"density": 0.5, "algorithm": "magnitude"}}
    scores = {layer["name"]: np.arange(128.0).reshape(8, 16) for layer in layers}
    save_file(scores, tmp_path / "scores.safetensors")
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    craft = ["craft", str(tmp_path / "spec.json"), "-i", str(tmp_path / "scores.safetensors")]
    craft += ["--server", str(http.base_url), "-o", str(tmp_path / "masks.safetensors")]
    assert command([*craft[:-2], "--detach", "--json"]) == 0
    run_job(server, json.loads(capsys.readouterr().out)["job"]["id"])
    assert command([*craft, "--strict"]) == 6
    assert "fc0 (4 of 8 outputs" in capsys.readouterr().err
    assert not (tmp_path / "masks.safetensors").exists()
    assert command(craft) == 0
    assert "warning: 3 layers have dead units" in capsys.readouterr().err


def test_waiting_ends_with_the_job(http, server):
    job = http.post("/v1/jobs", json=request(3)).json()
    with worker(server, job["id"], delay=0.3):
        began = time.monotonic()
        answer = http.get(job["urls"]["self"], headers={"Prefer": "wait=20"})
        assert 0.3 <= time.monotonic() - began < 5
    assert answer.json()["status"] == "succeeded"
    assert answer.headers["preference-applied"] == "wait=20"
    assert "Prefer" in answer.headers["vary"]


def test_waiting_at_submission_and_giving_up(http):
    began = time.monotonic()
    answer = http.post("/v1/jobs", json=request(4), headers={"Prefer": "respond-async, wait=1"})
    assert 1 <= time.monotonic() - began < 3
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"


@pytest.mark.parametrize("wish", ["wait=-1", "wait=x", "await=5", "wait", "respond-async"])
def test_no_wish_to_wait(http, wish):
    job = http.post("/v1/jobs", json=request(5)).json()
    answer = http.get(job["urls"]["self"], headers={"Prefer": wish})
    assert "preference-applied" not in answer.headers


def test_an_unchanged_job_is_304(http, server):
    job = http.post("/v1/jobs", json=request(6)).json()
    first = http.get(job["urls"]["self"])
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    same = http.get(job["urls"]["self"], headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert "retry-after" in same.headers
    run_job(server, job["id"])
    changed = http.get(job["urls"]["self"], headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_cancel_is_idempotent_and_refuses_the_ended(http, server):
    job = http.post("/v1/jobs", json=request(7)).json()
    for _ in range(2):
        answer = http.post(job["urls"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    done = http.post("/v1/jobs", json=request(8)).json()
    run_job(server, done["id"])
    assert_problem(http.post(done["urls"]["cancel"]), 409, "already-ended")


def test_canceling_a_running_job_asks_its_worker(http, server):
    job = http.post("/v1/jobs", json=request(9)).json()
    with server.services.database.write() as session:
        now = server.services.database.now(session)
        lease = server.services.settings.lease_seconds
        assert stored_jobs.claim(session, job["id"], "test", timedelta(seconds=lease), now)
    answer = http.post(job["urls"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (202, "canceling")


def test_events_stream_until_the_end(http, server):
    job = http.post("/v1/jobs", json=request(10)).json()
    with (
        worker(server, job["id"], delay=0.2),
        http.stream("GET", job["urls"]["events"], headers=SSE) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        text = stream.read().decode()
    assert text.startswith("retry: 3000\n")
    events = events_of(text)
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert {event["event"] for event in events} == {"status", "progress"}
    page = http.get(job["urls"]["events"]).json()
    assert [json.loads(event["data"]) for event in events] == page["items"]
    assert page["items"][-1]["data"]["status"] == "succeeded"


def test_a_stream_resumes_after_the_last_event_seen(http, server):
    job = http.post("/v1/jobs", json=request(11)).json()
    run_job(server, job["id"])
    last = len(http.get(job["urls"]["events"]).json()["items"])
    for seen in range(last):
        resumed = http.get(job["urls"]["events"], headers=SSE | {"Last-Event-ID": str(seen)})
        assert [int(e["id"]) for e in events_of(resumed.text)] == list(range(seen + 1, last + 1))
    over = http.get(job["urls"]["events"], headers=SSE | {"Last-Event-ID": str(last)})
    assert over.status_code == 204  # an EventSource stops connecting
    after = http.get(job["urls"]["events"], headers=SSE, params={"after": last - 1})
    assert len(events_of(after.text)) == 1
    odd = http.get(job["urls"]["events"], headers=SSE | {"Last-Event-ID": "x\u00b2".encode()})
    assert len(events_of(odd.text)) == last


def test_events_come_in_pages(http, server):
    job = http.post("/v1/jobs", json=request(12)).json()
    run_job(server, job["id"])
    everything = http.get(job["urls"]["events"]).json()["items"]
    found, after = [], 0
    while True:
        query = {"after": after, "page_size": 1}
        page = http.get(job["urls"]["events"], params=query).json()
        found += page["items"]
        if not page["next_page_token"]:
            break
        after = int(page["next_page_token"])
    assert found == everything


def test_a_list_walks_every_job_once_newest_first(http):
    mine = [http.post("/v1/jobs", json=request(100 + i)).json()["id"] for i in range(7)]
    found, token = [], ""
    while True:
        query = {"page_size": 3, "page_token": token, "status": "queued"}
        page = http.get("/v1/jobs", params=query).json()
        found += [item["id"] for item in page["items"]]
        token = page["next_page_token"]
        if not token:
            break
    assert len(found) == len(set(found))
    assert [job for job in found if job in mine] == mine[::-1]
    everything = http.get("/v1/jobs", params={"page_size": 1, "status": "queued"}).json()
    other_filter = {"page_token": everything["next_page_token"], "status": "failed"}
    assert_problem(http.get("/v1/jobs", params=other_filter), 422, "invalid-page-token")
    assert http.get("/v1/jobs", params={"page_size": 1000}).status_code == 200


def test_equal_requests_at_once_make_one_job(server):
    answers = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=240) as mine:
            answers.append(mine.post("/v1/jobs", json=request(200)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(a.headers["x-raiw-cache"] for a in answers) == ["created"] + ["joined"] * 7


def test_metadata_and_timeout_come_back(http):
    more = {"metadata": {"commit": "abc"}, "timeout_seconds": 5, "deadline_at": "2100-01-01T00:00Z"}
    job = http.post("/v1/jobs", json=request(13, **more)).json()
    assert job["metadata"] == {"commit": "abc"}
    assert job["timeout_seconds"] == 5
    assert job["deadline_at"].startswith("2100-01-01")
