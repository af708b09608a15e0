"""Bad requests: each a problem with a stable code, where it can with a pointer, never a 500."""

import json
import re

import pytest

from tests.integration.api.servers import assert_problem

FC = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 8}
UNKNOWN_DIGEST = "sha256:" + "0" * 64


def spec(*layers, **craft):
    return {"layers": list(layers) or [FC], "craft": craft or {"degree": 2}}


BAD_BODIES = {
    "unknown field": ({"spec": spec(), "sped": 1}, 422, "invalid-input", "/sped"),
    "unknown field of the spec": (
        {"spec": {"layerz": []}}, 422, "invalid-spec", "/spec/layerz",
    ),
    "unknown field of a layer": (
        {"spec": spec({**FC, "bias": True})}, 422, "invalid-spec", "/spec/layers/0/bias",
    ),
    "no spec": ({}, 422, "invalid-spec", "/spec"),
    "no object": ([], 422, "invalid-input", ""),
    "impossible degree": (
        {"spec": spec(degree=9)}, 422, "impossible-target", "/spec/craft/degree",
    ),
    "duplicate names": ({"spec": spec(FC, FC)}, 422, "invalid-spec", "/spec/layers/1/name"),
    "0-sized layer": (
        {"spec": spec({**FC, "in_features": 0})}, 422, "invalid-spec", "/spec/layers/0/in_features",
    ),
    "10 001 layers": (
        {"spec": spec(*[{**FC, "name": str(i)} for i in range(10_001)])},
        413, "too-large", "/spec/layers",
    ),
    "2^31 edges": (
        {"spec": spec({**FC, "in_features": 1 << 16, "out_features": 1 << 15}, density=1.0)},
        413, "too-large", "/spec/craft/density",
    ),
    "huge number": (
        {"spec": spec({**FC, "in_features": 10**400})},
        422, "invalid-spec", "/spec/layers/0/in_features",
    ),
    "unknown algorithm": (
        {"spec": spec(algorithm="magic", degree=2)}, 422, "invalid-spec", "/spec/craft/algorithm",
    ),
    "scores needed": (
        {"spec": spec(algorithm="raiw", degree=2)}, 422, "invalid-spec", "/spec/craft/algorithm",
    ),
    "unknown model": ({"spec": {"model": "vgg17"}}, 422, "invalid-spec", "/spec/model"),
    "no uploaded file": (
        {"spec": spec(), "importance": UNKNOWN_DIGEST}, 404, "not-found", "/importance",
    ),
    "no digest": ({"spec": spec(), "importance": "x"}, 422, "invalid-input", "/importance"),
    "NUL in a layer's name": (
        {"spec": spec({**FC, "name": "a\0b"})}, 422, "invalid-spec", "/spec/layers/0/name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("route", ["/v1/jobs", "/v1/plan"])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_body(http, route, name):
    body, status, code, pointer = BAD_BODIES[name]
    problem = assert_problem(http.post(route, json=body), status, code, pointer)
    assert problem["instance"] == route
    assert not problem["retryable"]


BAD_TEXTS = {
    "no JSON": (b'{"spec": ', 400, "bad-request"),
    "deep JSON": (b"[" * 200_000, 400, "bad-request"),
    "deep object": (b'{"spec":' * 100_000 + b"1" + b"}" * 100_000, 400, "bad-request"),
    "number of 5000 digits": (b'{"spec": ' + b"9" * 5000 + b"}", 400, "bad-request"),
    "no UTF-8": (b'{"spec": "\xff"}', 400, "bad-request"),
    "larger than allowed": (b" " * ((1 << 20) + 1), 413, "too-large"),
    "empty": (b"", 422, "invalid-input"),
    "NaN": (b'{"spec": {"layers": [], "craft": {"density": NaN}}}', 422, "invalid-spec"),
    "lone surrogate": (
        b'{"spec": {"model": "raiw/vgg16-d16"}, "metadata": {"a": "\\ud800"}}',
        422,
        "invalid-input",
    ),
    "lone surrogate as a name": (b'{"spec": {"\\ud800": 1}}', 422, "invalid-spec"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_text(http, name):
    text, status, code = BAD_TEXTS[name]
    headers = {"Content-Type": "application/json"}
    assert_problem(http.post("/v1/jobs", content=text, headers=headers), status, code)


def test_a_body_without_length_is_counted(http):
    def pieces():
        for _ in range(30):
            yield b" " * (1 << 16)

    response = http.post("/v1/jobs", content=pieces(), headers={"Content-Type": "application/json"})
    assert_problem(response, 413, "too-large")


def test_encoded_bodies_are_refused(http):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    response = http.post("/v1/jobs", content=b"x", headers=headers)
    assert_problem(response, 415, "unsupported-media-type")


def test_other_media_types_are_refused(http):
    body = json.dumps({"spec": spec()}).encode()
    response = http.post("/v1/jobs", content=body, headers={"Content-Type": "text/plain"})
    assert_problem(response, 415, "unsupported-media-type")


def test_nul_in_free_text_is_stored_or_refused(http):
    body = {"spec": {**spec(), "name": "a\0b"}, "metadata": {"a": "\0"}}
    response = http.post("/v1/jobs", json=body)
    assert response.status_code in (202, 422)
    if response.status_code == 202:
        assert http.get(response.headers["location"]).json()["metadata"] == {"a": "\0"}


BAD_REQUESTS = {
    "no such route": ("GET", "/v1/nothing", {}, 404, "not-found"),
    "no such method": ("DELETE", "/v1/jobs", {}, 405, "method-not-allowed"),
    "no such job": ("GET", "/v1/jobs/job_x", {}, 404, "not-found"),
    "no possible job": ("GET", "/v1/jobs/a%00b", {}, 404, "not-found"),
    "long id": ("GET", "/v1/jobs/" + "x" * 5000, {}, 404, "not-found"),
    "no such job's events": ("GET", "/v1/jobs/job_x/events", {}, 404, "not-found"),
    "no such job to cancel": ("POST", "/v1/jobs/job_x/cancel", {}, 404, "not-found"),
    "no such masks": ("GET", f"/v1/masks/{UNKNOWN_DIGEST}", {}, 404, "not-found"),
    "no such file": ("GET", f"/v1/masks/{UNKNOWN_DIGEST}/file", {}, 404, "not-found"),
    "no such layer": ("GET", f"/v1/masks/{UNKNOWN_DIGEST}/layers/a", {}, 404, "not-found"),
    "no digest": ("GET", "/v1/masks/abc", {}, 404, "not-found"),
    "no such blob": ("GET", f"/v1/blobs/{UNKNOWN_DIGEST}", {}, 404, "not-found"),
    "no such model": ("GET", "/v1/models/no/such", {}, 404, "not-found"),
    "model up the tree": ("GET", "/v1/models/..%2f..%2fpyproject", {}, 404, "not-found"),
    "page size 0": ("GET", "/v1/jobs?page_size=0", {}, 422, "invalid-input"),
    "page size no number": ("GET", "/v1/jobs?page_size=x", {}, 422, "invalid-input"),
    "status unknown": ("GET", "/v1/jobs?status=lost", {}, 422, "invalid-input"),
    "page token": ("GET", "/v1/jobs?page_token=x", {}, 422, "invalid-page-token"),
    "page token, decoded": ("GET", "/v1/jobs?page_token=bnVsbA", {}, 422, "invalid-page-token"),
    "after too large": ("GET", "/v1/jobs/job_x/events?after=" + "9" * 30, {}, 422, "invalid-input"),
    "unknown parameter": ("GET", "/v1/jobs?page_sizes=5", {}, 422, "invalid-input"),
    "parameter where none is": ("GET", "/v1/models?page_size=5", {}, 422, "invalid-input"),
    "parameter twice": ("GET", "/v1/jobs?page_size=5&page_size=6", {}, 422, "invalid-input"),
    "PATCH without offset": ("PATCH", "/v1/uploads/upload_x", {}, 422, "invalid-input"),
    "PATCH with bad offset": (
        "PATCH", "/v1/uploads/upload_x", {"Upload-Offset": "-1"}, 422, "invalid-input",
    ),
    "PATCH of nothing": ("PATCH", "/v1/uploads/upload_x", {"Upload-Offset": "0"}, 404, "not-found"),
    "upload unknown": ("GET", "/v1/uploads/upload_x", {}, 404, "not-found"),
    "abandon unknown": ("DELETE", "/v1/uploads/upload_x", {}, 404, "not-found"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_request(http, name):
    method, path, headers, status, code = BAD_REQUESTS[name]
    response = http.request(method, path, headers=headers)
    assert_problem(response, status, code)


def test_an_unknown_parameter_is_told_with_the_nearest(http):
    problem = assert_problem(http.get("/v1/jobs?page_sizes=5"), 422, "invalid-input", "page_sizes")
    assert "did you mean 'page_size'?" in problem["detail"]


def test_a_refused_method_comes_with_all_that_the_path_has(http):
    paths = http.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        concrete = re.sub(r"\{digest\}", UNKNOWN_DIGEST, path)
        concrete = re.sub(r"\{\w+\}", "a", concrete)
        response = http.request("TRACE", concrete)
        assert_problem(response, 405, "method-not-allowed")
        allowed = response.headers["allow"].split(", ")
        assert allowed == sorted(method.upper() for method in operations)
