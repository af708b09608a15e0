"""What operators rely on: the token, health, metrics, headers, the schema, a calm shutdown."""

import sqlite3
import subprocess
import sys
import threading
import time

import httpx
import pytest
from starlette.routing import Route

from raiw import errors
from raiw.algorithms import ALGORITHMS
from raiw.specs.spec import Spec
from service.api.problems import STATUS, status_of
from service.contract import errors as service_errors
from tests.integration.api.servers import assert_problem, start_server

TOKEN = "a token of sixteen or more"
OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json"}


def operations(http: httpx.Client) -> list[tuple[str, str, str]]:
    paths = http.get("/openapi.json").json()["paths"]
    return [
        (method, path, operation["operationId"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def test_every_route_asks_for_the_token(start):
    server = start(token=TOKEN)
    digest = "sha256:" + "0" * 64
    with httpx.Client(base_url=server.url) as http:
        seen = 0
        for method, path, _ in operations(http):
            concrete = path.format(
                job_id="job_x",
                upload_id="upload_x",
                digest=digest,
                name="a",
                webhook_id="x",
                delivery_id="x",
                key_id="x",
            )
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
                answer = http.request(method, concrete, headers=headers, content=b"")
                if path in OPEN:
                    assert answer.status_code == 200
                elif method == "head":
                    assert answer.status_code == 401
                else:
                    assert_problem(answer, 401, "unauthorized")
                    assert answer.headers["www-authenticate"].startswith("Bearer")
            seen += path not in OPEN
        assert seen >= 18
        good = http.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"})
        assert good.status_code == 200


def test_no_route_hides_from_the_schema(server, http):
    described = {path for _, path, _ in operations(http)}
    routes = {route.path for route in server.app.routes if isinstance(route, Route)}
    assert routes - described <= {"/openapi.json"}


def test_operation_ids_are_stable(http):
    assert sorted(name for _, _, name in operations(http)) == [
        "abandon_upload", "append_to_upload", "begin_upload", "cancel_job", "create_job",
        "create_key", "create_webhook", "delete_blob", "delete_masks", "delete_webhook",
        "enable_webhook", "get_blob", "get_caller", "get_job", "get_key", "get_layer",
        "get_mask_file", "get_masks", "get_model", "get_schema", "get_statistics", "get_upload",
        "get_webhook", "head_blob", "head_mask_file", "list_deliveries", "list_events",
        "list_jobs", "list_keys", "list_masks", "list_models", "list_networks", "list_webhooks",
        "livez", "metrics", "pin_blob", "pin_masks", "plan", "put_blob", "read_spec", "readyz",
        "redeliver", "revoke_key", "rotate_key", "rotate_webhook", "unpin_blob", "unpin_masks",
    ]  # fmt: skip


def test_every_error_class_has_a_status_of_its_own_kind():
    def tree(kind):
        yield kind
        for child in kind.__subclasses__():
            yield from tree(child)

    for kind in tree(errors.InvalidInput):
        assert 400 <= status_of(kind) < 500, kind
    faults_of_servers = {service_errors.InternalError, service_errors.WorkerLost}
    for name, kind in vars(service_errors).items():
        if isinstance(kind, type) and kind.__module__ == service_errors.__name__:
            assert (status_of(kind) == STATUS[errors.RaiwError]) == (kind in faults_of_servers), (
                name
            )


def test_health(http):
    assert http.get("/livez").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"]["database"] == "ok"


def test_not_ready_without_migrations_or_room(start):
    full = start(min_free_bytes=1 << 60)
    answer = httpx.get(f"{full.url}/readyz")
    assert answer.status_code == 503
    assert "do not fit" in answer.json()["checks"]["artifacts"]
    bare = start()
    with bare.services.database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM alembic_version")
    answer = httpx.get(f"{bare.url}/readyz")
    assert answer.status_code == 503
    assert "raiw migrate" in answer.json()["checks"]["database"]


def test_metrics_count_routes_by_template_and_jobs_by_state(http):
    layer = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4}
    http.post("/v1/jobs", json={"spec": {"layers": [layer], "craft": {"degree": 1}}})
    http.get("/v1/jobs/job_x")
    text = http.get("/metrics").text
    assert 'raiw_http_requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"}' in text
    assert 'raiw_jobs{status="queued"} 1.0' in text
    assert 'raiw_jobs{status="failed"} 0.0' in text
    assert "raiw_outbox_waiting" in text
    assert "raiw_oldest_queued_seconds" in text
    assert "job_x" not in text


def test_headers_are_safe_and_the_request_has_an_id(http):
    answer = http.get("/v1/models", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    odd = http.get("/v1/models", headers={"X-Request-ID": "<script>"})
    assert odd.headers["x-request-id"].isalnum()


def test_the_schema_names_the_algorithms_of_this_server(http):
    answer = http.get("/v1/schema")
    assert answer.headers["content-type"] == "application/schema+json"
    choices = answer.json()["$defs"]["Craft"]["properties"]["algorithm"]["anyOf"]
    assert list(ALGORITHMS) in [choice.get("enum") for choice in choices]


def test_every_model_of_the_catalogue_can_be_fetched_and_crafted(http):
    page = http.get("/v1/models").json()
    for item in page["items"]:
        document = http.get(item["url"]).json()
        assert len(document["layers"]) == item["layers"]
        craft = item["craft"] or {"density": 0.5}
        assert Spec.parse({"layers": document["layers"], "craft": craft}).plan().edges > 0


def test_a_locked_database_is_503_with_retry_after(tmp_path):
    server = start_server(tmp_path, database_lock_seconds=0.2)
    lock = sqlite3.connect(tmp_path / "raiw.sqlite", isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        layer = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4}
        body = {"spec": {"layers": [layer], "craft": {"degree": 1}}}
        answer = httpx.post(f"{server.url}/v1/jobs", json=body)
        problem = assert_problem(answer, 503, "busy")
        assert problem["retryable"]
        assert int(answer.headers["retry-after"]) >= 1
        lock.execute("ROLLBACK")
        assert httpx.post(f"{server.url}/v1/jobs", json=body).status_code == 202
    finally:
        lock.close()
        server.stop()


def test_a_defect_is_a_500_that_tells_nothing_but_its_id(tmp_path, caplog):
    server = start_server(tmp_path)
    try:
        del server.app.state.services
        answer = httpx.get(f"{server.url}/v1/jobs")
        problem = assert_problem(answer, 500, "internal-error")
        assert "services" not in answer.text
        assert problem["request_id"] in caplog.text
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["", "/events"])
def test_a_stopping_server_lets_waiting_clients_go(tmp_path, path):
    server = start_server(tmp_path)
    layer = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4}
    body = {"spec": {"layers": [layer], "craft": {"degree": 1}}}
    job = httpx.post(f"{server.url}/v1/jobs", json=body).json()
    headers = {"Prefer": "wait=30", "Accept": "text/event-stream" if path else "*/*"}
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            httpx.get(server.url + job["urls"]["self"] + path, headers=headers, timeout=40)
        )
    )
    waiting.start()
    time.sleep(0.5)
    began = time.monotonic()
    server.stop()
    waiting.join()
    assert time.monotonic() - began < 1.5
    assert answers[0].status_code == 200


def test_the_web_process_stays_light():
    code = (
        "import sys, service.api.app; "
        "print([m for m in ('torch', 'scipy', 'worker') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
