"""The id of a request: it stands in every line of the log that the request or its job caused."""

import re
from typing import Any

import httpx
import pytest

from tests.integration.stack import Stack, eventually
from tests.integration.test_job_life import slow, small


def lines(stack: Stack, words: str) -> list[str]:
    return [line for line in stack.log.read_text().splitlines() if words in line]


def post(stack: Stack, path: str, request_id: str, **body: Any) -> httpx.Response:
    return stack.http.post(path, json=body, headers={"X-Request-ID": request_id})


def test_it_stands_in_every_line_of_the_request_and_its_job(stack: Stack) -> None:
    job = post(stack, "/v1/jobs", "build-1", spec=small()).json()
    stack.wait(job["id"])
    about = eventually(lambda: lines(stack, "attempt 1") and lines(stack, job["id"]))
    told = [line for line in about if " api " not in line]
    assert told
    assert all(line.endswith(" request_id=build-1") for line in told), told
    (accepted,) = lines(stack, "request_id=build-1\n".strip())[:1]
    assert "POST /v1/jobs" in accepted
    other = post(stack, "/v1/jobs", "build-2", spec=small()).json()
    stack.wait(other["id"])
    assert all("build-2" in line for line in lines(stack, other["id"]) if " api " not in line)


def test_a_lost_job_is_told_with_it(stack: Stack) -> None:
    job = post(stack, "/v1/jobs", "build-3", spec=slow()).json()
    stack.wait(job["id"], "running")
    for worker in stack.workers:
        worker.kill()
    stack.workers.clear()
    (line,) = eventually(lambda: lines(stack, f"job {job['id']} lost its worker"))
    assert line.endswith(" request_id=build-3")
    assert " api " in line
    stack.http.post(job["urls"]["cancel"])


@pytest.mark.parametrize("running", [False, True])
def test_a_job_says_who_asked_joined_and_canceled(deployment: Stack, *, running: bool) -> None:
    deployment.stop_workers()
    if running:
        deployment.start_worker()
    spec = slow()
    job = post(deployment, "/v1/jobs", "first", spec=spec).json()
    if running:
        deployment.wait(job["id"], "running")
    joined = post(deployment, "/v1/jobs", "second", spec=spec)
    assert joined.headers["x-raiw-cache"] == "joined"
    canceled = post(deployment, job["urls"]["cancel"], "third")
    assert canceled.status_code == (202 if running else 200)
    deployment.wait(job["id"], "canceled")
    events = [event["data"] for event in deployment.events(job["id"])]
    assert {"status": "queued", "request_id": "first"} in events
    assert {"message": "another request joined this job", "request_id": "second"} in events
    status = "canceling" if running else "canceled"
    asked = [event for event in events if event.get("request_id") == "third"]
    assert [event["status"] for event in asked] == [status]
    assert "httpx" in asked[0]["client"]


def test_a_crowd_that_joins_is_counted_and_not_all_named(idle_stack: Stack) -> None:
    spec = small()
    job = post(idle_stack, "/v1/jobs", "first", spec=spec).json()
    for number in range(25):
        post(idle_stack, "/v1/jobs", f"joined-{number}", spec=spec)
    assert idle_stack.job(job["id"])["joined"] == 25
    named = [e["data"] for e in idle_stack.events(job["id"]) if e["event"] == "log"]
    assert [data["request_id"] for data in named] == [f"joined-{n}" for n in range(20)]
    idle_stack.http.post(job["urls"]["cancel"])


def test_lines_of_no_request_name_none(stack: Stack) -> None:
    ready = [line for line in stack.log.read_text().splitlines() if "started" in line.lower()]
    assert not any(re.search("request_id=", line) for line in ready)
