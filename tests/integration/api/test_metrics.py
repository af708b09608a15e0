"""Metrics of a real server, and the dashboard and alert rules that read them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.contract.jobs import JobStatus
from service.store import jobs
from service.store.tables import JobRow
from tests.integration.api.servers import SPEC, Server, start_server
from tests.integration.stack import eventually

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "raiw.json"
RULES = DEPLOY / "prometheus" / "raiw.rules.yml"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
_seeds = iter(range(1, 1 << 30))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("state"), janitor_seconds=0.1)
    yield running
    running.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=240) as client:
        yield client


def scrape(http: httpx.Client) -> Samples:
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def submit(http: httpx.Client) -> dict[str, Any]:
    spec = SPEC | {"craft": {"degree": 4, "seed": next(_seeds)}}
    made: dict[str, Any] = http.post("/v1/jobs", json={"spec": spec}).json()
    return made


def run(server: Server, job_id: str, attempts: int, status: JobStatus) -> None:
    """What a worker does: it waits two seconds, runs for three, in so many attempts."""
    database = server.services.database
    with database.write() as session:
        now = database.now(session)
        for number in range(1, attempts + 1):
            assert jobs.claim(session, job_id, "worker", timedelta(minutes=1), now)
            if number < attempts:
                attempt = jobs.Attempt(job_id, number)
                jobs.lose(session, attempt, timedelta(), now)
        row = session.get(JobRow, job_id)
        assert row is not None
        session.refresh(row)
        row.created_at, row.started_at = now - timedelta(seconds=5), now - timedelta(seconds=3)
        session.flush()
        assert jobs.end(session, jobs.Attempt(job_id, attempts), status, None, now)


def test_jobs_that_end_are_counted_once_with_their_times(
    server: Server, http: httpx.Client
) -> None:
    before = scrape(http)
    ended = [submit(http)["id"] for _ in range(3)]
    run(server, ended[0], 1, JobStatus.FAILED)
    run(server, ended[1], 3, JobStatus.FAILED)
    http.post(f"/v1/jobs/{ended[2]}/cancel")
    first, again = scrape(http), scrape(http)
    labels = {"kind": "craft", "outcome": "failed"}
    for after in (first, again):

        def grown(name: str, after: Samples = after, **labels: str) -> float:
            return value(after, name, **labels) - value(before, name, **labels)

        assert grown("raiw_jobs_ended_total", **labels) == 2
        assert grown("raiw_jobs_ended_total", kind="craft", outcome="canceled") == 1
        assert grown("raiw_job_retries_total", kind="craft") == 2
        assert grown("raiw_job_run_seconds_count", **labels) == 2
        assert 6 <= grown("raiw_job_run_seconds_sum", **labels) < 6.1
        assert grown("raiw_job_wait_seconds_count", queue="raiw.cpu") == 1
        assert 2 <= grown("raiw_job_wait_seconds_sum", queue="raiw.cpu") < 2.1
        assert grown("raiw_submissions_total", kind="craft", outcome="created") == 3


def test_the_queue_and_who_holds_what(server: Server, http: httpx.Client) -> None:
    waiting, held, silent = (submit(http)["id"] for _ in range(3))
    database = server.services.database
    with database.write() as session:
        now = database.now(session)
        jobs.claim(session, held, "worker", timedelta(minutes=9), now)
        row = session.get(JobRow, waiting)
        assert row is not None
        row.created_at = now - timedelta(seconds=100)
    samples = scrape(http)
    assert value(samples, "raiw_queued_jobs", queue="raiw.cpu") == 2
    assert value(samples, "raiw_queued_jobs", queue="raiw.gpu") == 0
    assert 100 <= value(samples, "raiw_oldest_queued_seconds", queue="raiw.cpu") < 1000
    assert value(samples, "raiw_leases") == 1
    assert value(samples, "raiw_leases_overdue") == 0
    lost = value(samples, "raiw_leases_lost_total")
    with database.write() as session:
        jobs.claim(session, silent, "worker", timedelta(seconds=-1), database.now(session))
    assert eventually(lambda: value(scrape(http), "raiw_leases_lost_total") - lost) == 1
    joined = http.post("/v1/jobs", json={"spec": http.get(f"/v1/jobs/{waiting}").json()["spec"]})
    assert joined.headers["x-raiw-cache"] == "joined"
    after = scrape(http)
    assert value(after, "raiw_submissions_total", kind="craft", outcome="joined") == 1


def test_what_a_server_tells_of_itself(http: httpx.Client) -> None:
    samples = scrape(http)
    assert value(samples, "raiw_database_up") == 1
    assert value(samples, "raiw_disk_free_bytes") > 0
    assert value(samples, "raiw_database_connections_limit", pool="threads") >= 5
    assert value(samples, "process_resident_memory_bytes") > 1 << 20
    assert value(samples, "raiw_stored_objects", what="masks") == 0
    assert not [labels for name, labels in samples if name == "raiw_workers"], "no broker answers"
    (build,) = [dict(labels) for name, labels in samples if name == "raiw_build"]
    assert build["version"]


def test_times_of_requests_have_the_class_of_their_status(http: httpx.Client) -> None:
    http.get("/v1/jobs/job_none")
    samples = scrape(http)
    labels = {"method": "GET", "route": "/v1/jobs/{job_id}"}
    assert value(samples, "raiw_http_requests_total", status="404", **labels) >= 1
    assert value(samples, "raiw_http_request_seconds_count", status="4xx", **labels) >= 1


@pytest.fixture(scope="module")
def known(server: Server) -> set[str]:
    """Every name of a scrape in which everything has happened once."""
    with httpx.Client(base_url=server.url, timeout=240) as http:
        job = submit(http)["id"]
        run(server, job, 1, JobStatus.FAILED)
        server.app.state.janitor.workers = {"raiw@host": {"processes": 2, "stuck": 0}}
        return {name for name, _ in scrape(http)}


def expressions(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, found in document.items():
            if key == "expr":
                yield found
            else:
                yield from expressions(found)
    elif isinstance(document, list):
        for found in document:
            yield from expressions(found)


@pytest.mark.parametrize("file", [DASHBOARD, RULES], ids=lambda file: file.name)
def test_every_metric_of_the_dashboard_and_the_rules_exists(known: set[str], file: Path) -> None:
    text = file.read_text("utf-8")
    document = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    used = {
        name
        for one in expressions(document)
        for name in re.findall(r"\b(?:raiw|process)_\w+", re.sub(r'"[^"]*"', "", one))
    }
    assert len(used) >= 10
    assert used - known == set()


def test_the_dashboard_shows_every_metric(known: set[str]) -> None:
    shown = " ".join(expressions(json.loads(DASHBOARD.read_text("utf-8"))))
    ours = {re.sub("_(sum|count|bucket|created)$", "", one) for one in known if "raiw_" in one}
    assert {one for one in ours if one not in shown} == {"raiw_build"}  # chooses the scrape job


def test_the_rules_are_rules() -> None:
    """As far as can be told without Prometheus; promtool looks closer where it is installed."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) >= 10
    for rule in group["rules"]:
        assert {*rule} - {"for"} == {"alert", "expr", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")
    if tool := shutil.which("promtool"):
        subprocess.run([tool, "check", "rules", RULES], check=True, capture_output=True)


def test_panels_do_not_overlap_and_have_a_source() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len({*cells}) == len(cells)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")
