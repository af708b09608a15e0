"""JSON logs and traces of a running service: real processes, a real collector."""

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from raiw.errors import MissingExtra
from service.settings import InvalidSettings, Settings, load_settings
from service.tracing import Tracing
from tests.integration.stack import eventually
from tests.integration.test_job_life import small
from tests.integration.test_serve import Service
from tests.integration.webhooks.receivers import receiving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRETS = {
    "RAIW_TOKEN": "the token of everybody here",
    "RAIW_KEY_SECRET": "what all other secrets are derived from",
}


class Collector:
    """An OpenTelemetry collector, as far as spans go."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[tuple[str, Any]] = []

    def named(self, name: str) -> list[tuple[str, Any]]:
        return [(service, span) for service, span in self.spans if span.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                known = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    collector.spans += [(known["service.name"], span) for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield collector
    server.shutdown()
    server.server_close()


class Story:
    """A job from its request to its webhook, and what became known of it."""

    def __init__(self, folder: Path) -> None:
        environment = SECRETS | {
            "RAIW_LOG_FORMAT": "json",
            "RAIW_LOG_LEVEL": "debug",
            "RAIW_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "RAIW_JANITOR_SECONDS": "0.1",
            "RAIW_WORKER_CONCURRENCY": "1",
            "RAIW_NETWORK_MODULES": "",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with collecting() as self.collector, receiving() as receiver:
            environment["RAIW_OTLP_ENDPOINT"] = self.collector.url
            service = Service(folder, **environment)
            headers = {
                "Authorization": f"Bearer {SECRETS['RAIW_TOKEN']}",
                "X-Request-ID": "build-77",
                "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            }
            with httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
                hook = {"url": f"{receiver.url}/hidden-in-the-path"}
                self.hook = http.post("/v1/webhooks", json=hook).json()
                self.job = http.post("/v1/jobs", json={"spec": small()}).json()
                job = http.get(self.job["urls"]["self"], headers={"Prefer": "wait=30"}).json()
                assert job["status"] == "succeeded"
                eventually(lambda: receiver.messages)
                http.get("/v1/jobs", headers={"Authorization": "Bearer a wrong one that I typed"})
                eventually(lambda: self.collector.named("run craft"))
            service.process.send_signal(signal.SIGTERM)
            _, self.log = service.process.communicate(timeout=240)
        self.lines = [json.loads(line) for line in self.log.splitlines()]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("state"))


def test_every_line_of_every_process_is_one_object(story: Story) -> None:
    assert {line["part"] for line in story.lines} >= {"api", "worker"}
    for line in story.lines:
        assert {*line} <= {
            "time", "level", "part", "logger", "message", "request_id", "job_id", "owner",
            "exception",
        }  # fmt: skip
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert line["time"].endswith("Z")


def test_lines_tell_request_job_and_owner(story: Story) -> None:
    mine = [line for line in story.lines if line.get("job_id") == story.job["id"]]
    assert {line["part"] for line in mine} == {"worker"}
    assert {(line["request_id"], line["owner"]) for line in mine} == {("build-77", "local")}
    (asked,) = [line for line in story.lines if '"POST /v1/jobs ' in line["message"]]
    assert (asked["request_id"], asked["owner"]) == ("build-77", "local")


def test_no_secret_stands_in_the_log_of_any_process(story: Story) -> None:
    """At the level that tells most."""
    secrets = [*SECRETS.values(), story.hook["secret"], "hidden-in-the-path", "a wrong one"]
    assert [secret for secret in secrets if secret in story.log] == []
    assert [line for line in story.lines if line["level"] == "debug"]


def test_a_trace_goes_from_the_request_to_the_process_that_crafts(story: Story) -> None:
    spans = {span.name: (service, span) for service, span in story.collector.spans}
    api, asked = spans["POST /v1/jobs"]
    worker, run = spans["run craft"]
    _, work = spans["process craft"]
    assert (api, worker) == ("raiw-api", "raiw-worker")
    assert {one.trace_id.hex() for one in (asked, run, work)} == {TRACE}
    assert asked.parent_span_id.hex() == "00f067aa0ba902b7"
    assert run.parent_span_id == asked.span_id
    assert work.parent_span_id == run.span_id
    known = {one.key: one.value.string_value for one in run.attributes}
    assert known["raiw.job_id"] == story.job["id"]
    assert known["raiw.status"] == "succeeded"
    assert not [name for name in spans if "/livez" in name or "/metrics" in name]


def test_exceptions_are_part_of_their_line() -> None:
    code = (
        "import logging; from service.logs import about, configure_logs\n"
        "configure_logs('api', 'info', 'json')\n"
        "with about('r', 'j', 'o'):\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError: logging.getLogger('a').exception('a\\nline \\ud800 %s', 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert line.pop("exception").endswith("ZeroDivisionError: division by zero")
    assert line.pop("time")
    assert line == {
        "level": "error", "part": "api", "logger": "a", "message": "a\nline \ud800 1",
        "request_id": "r", "job_id": "j", "owner": "o",
    }  # fmt: skip


def test_without_a_collector_nothing_of_it_is_imported_or_recorded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from service.settings import Settings\n"
        "from service.api.app import create_app; import worker.app\n"
        f"create_app(Settings(state_dir=Path({str(tmp_path)!r})))\n"
        "print([name for name in sys.modules if 'opentelemetry.exporter' in name "
        "or name == 'opentelemetry.sdk.trace'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    tracing = Tracing()
    tracing.start("api", Settings(state_dir=tmp_path))
    with tracing.span("a", job_id="b"):
        tracing.note(status="c")
        assert tracing.traceparent() is None
    tracing.stop()


def test_a_collector_needs_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = Settings(state_dir=tmp_path, otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(MissingExtra, match=r"raiw\[otel\]"):
        Tracing().start("api", settings)


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://a", "http://user:password@a"])
def test_the_address_of_a_collector_is_checked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("RAIW_OTLP_ENDPOINT", url)
    with pytest.raises(InvalidSettings, match="RAIW_OTLP_ENDPOINT") as refused:
        load_settings()
    assert "password" not in str(refused.value)


def test_a_collector_that_is_away_costs_a_job_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    tracing = Tracing()
    tracing.start("api", Settings(state_dir=tmp_path, otlp_endpoint="http://127.0.0.1:1"))
    with tracing.span("a"):
        assert tracing.traceparent()
    tracing.stop()
    assert tracing.provider is None
