"""Priorities and repeated requests as clients send them."""

import json
from pathlib import Path

import pytest

import raiw
from raiw.cli.app import run as command
from raiw.client.options import JobOptions
from raiw.jobs.craft import CraftJob
from tests.integration.api.servers import SPEC, assert_problem


def asked(seed: int, **more: str) -> dict:
    return {"spec": SPEC | {"craft": {"degree": 4, "seed": seed}}, **more}


def test_a_job_has_the_highest_priority_that_was_asked_for(http) -> None:
    for priority, then in (("low", "low"), ("high", "high"), ("normal", "high")):
        answer = http.post("/v1/jobs", json=asked(1, priority=priority))
        job = answer.json()
        assert job["priority"] == then
        assert http.get(job["urls"]["self"]).json()["priority"] == then
    assert job["joined"] == 2
    assert http.post("/v1/jobs", json=asked(2)).json()["priority"] == "normal"
    refused = http.post("/v1/jobs", json=asked(3, priority="urgent"))
    assert_problem(refused, 422, "invalid-input", "/priority")


def test_the_command_and_the_client_say_it_too(
    server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(asked(4)["spec"]))
    craft = ["craft", str(tmp_path / "spec.json"), "--server", server.url, "--detach", "--json"]
    assert command([*craft, "--priority", "low"]) == 0
    job_id = json.loads(capsys.readouterr().out)["job"]["id"]
    with raiw.Client(server.url) as client:
        assert client.job(job_id).view["priority"] == "low"
        assert client.craft(asked(4)["spec"], priority="high").view["priority"] == "high"
        document = CraftJob.parse(asked(5))
        options = JobOptions(priority="low", idempotency_key="build 7")
        first = client.submit(document, job=options)
        first.cancel()
        assert client.submit(document, job=options).id == first.id
        assert client.submit(document).id != first.id
