"""Junk at every route of the schema: an answer below 500, and every refusal a problem."""

import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = [
    *("spec", "layers", "name", "kind", "in_features", "kernel_size", "groups", "craft", "degree"),
    *("density", "edges", "parameters", "rules", "match", "dense", "algorithm", "seed", "model"),
    *("importance", "metadata", "timeout_seconds", "deadline_at", "digest", "bytes"),
    *("linear", "conv2d", "raiw", "regular", "raiw/vgg16-d16"),
]
TEXT = st.sampled_from(WORDS) | st.text(max_size=8)
NUMBER = st.integers(-(10**20), 10**20) | st.floats() | st.sampled_from([0, 1, 2**31, 2**63])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
LAYERS = [
    {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 6},
    {
        "name": "conv", "kind": "conv2d", "in_channels": 8, "out_channels": 6, "groups": 2,
        "kernel_size": [3, 3],
    },
]  # fmt: skip
VALID = {
    "spec": {
        "name": "net",
        "layers": LAYERS,
        "craft": {"density": 0.5, "seed": 1, "rules": [{"match": "fc", "dense": True}]},
    },
    "importance": None,
    "metadata": {"a": "b"},
    "timeout_seconds": 3,
    "deadline_at": "2100-01-01T00:00:00Z",
}


def places(value, path=()):
    """Yield the path of every value inside a document."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def spoiled(draw):
    """Return the valid request with one value replaced or one key added."""
    document = copy.deepcopy(VALID)
    *path, last = draw(st.sampled_from([path for path in places(VALID) if path]))
    target = document
    for key in path:
        target = target[key]
    target[last] = draw(JSON)
    if isinstance(target, dict) and draw(st.booleans()):
        target[draw(TEXT)] = draw(JSON)
    return document


def check(answer):
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"code", "detail", "errors", "request_id"} <= answer.json().keys()


@pytest.mark.parametrize("route", ["/v1/jobs", "/v1/plan", "/v1/uploads"])
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(body=spoiled() | JSON)
def test_junk_bodies(http, route, body):
    text = json.dumps(body).encode()
    check(http.post(route, content=text, headers={"Content-Type": "application/json"}))


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_junk_everywhere(http, server, data):
    name = st.text(min_size=1, max_size=12) | st.sampled_from(["..", "sha256:" + "0" * 64])
    number = st.integers(-(10**30), 10**30).map(str) | st.text(max_size=6)
    # Control characters are refused by the HTTP parser, before this application sees them.
    visible = st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from("\xe4\xff\xb2")
    header = st.text(visible, max_size=20)
    for path, methods in http.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            url, query, headers = path, {}, {}
            for parameter in operation.get("parameters", ()):
                key = parameter["name"]
                if parameter["in"] == "path":
                    url = url.replace(f"{{{key}}}", quote(data.draw(name), safe=""))
                elif parameter["in"] == "query":
                    query[key] = data.draw(number)
                elif key != "content-length":
                    headers[key] = data.draw(header).encode("latin-1")
            for key in ("Range", "If-None-Match", "Prefer", "Accept", "Authorization"):
                headers[key] = data.draw(header).encode("latin-1")
            content = data.draw(st.binary(max_size=30))
            check(http.request(method, url, params=query, headers=headers, content=content))
