"""Requests for what the library does: what is wrong with one is told at once, by its place."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from raiw.canonical import digest_of, digest_of_hex
from raiw.cli import exits
from raiw.cli.app import run
from raiw.readers.checkpoints import read_shapes
from raiw.specs.spec import Spec
from tests.integration.api.owners import calling, make_key
from tests.integration.api.servers import assert_problem

NONE = digest_of_hex("0" * 64)
SPEC = {
    "layers": [{"name": "fc", "kind": "linear", "in_features": 8, "out_features": 8}],
    "craft": {"density": 0.5},
}
UNSHARED = SPEC | {"craft": {"degree": 2}}
BUDGET = {"kind": "budget", "spec": SPEC, "importance": NONE, "method": "score"}
BAD = [
    (BUDGET | {"method": "scores"}, 422, "/method"),
    (BUDGET | {"method": None}, 422, "/method"),
    (BUDGET | {"layers": "some"}, 422, "/layers"),
    (BUDGET | {"layers": "all"}, 422, "/layers"),
    (BUDGET | {"spec": UNSHARED}, 422, "/spec/craft"),
    (BUDGET | {"craft": 1}, 422, "/craft"),
    (BUDGET, 404, "/importance"),
    ({"kind": "verify"}, 422, "/masks"),
    ({"kind": "verify", "masks": NONE, "file": NONE}, 422, "/masks"),
    ({"kind": "verify", "masks": NONE}, 404, "/masks"),
    ({"kind": "verify", "file": NONE}, 404, "/file"),
    ({"kind": "verify", "file": "masks.safetensors"}, 422, "/file"),
    ({"kind": "study", "spec": SPEC, "methods": ["regulr"]}, 422, "/methods"),
    ({"kind": "study", "spec": SPEC, "methods": ["regular", "regular"]}, 422, "/methods"),
    ({"kind": "study", "spec": SPEC, "seeds": 0}, 422, "/seeds"),
    (
        {"kind": "study", "spec": {"model": "raiw/vgg16-d16"}, "methods": ["random"], "seeds": 999},
        202,
        None,
    ),
    (
        {
            "kind": "study",
            "spec": {"model": "raiw/vgg16-d16"},
            "methods": ["random", "regular"],
            "seeds": 999,
        },
        413,
        None,
    ),
    ({"kind": "study", "spec": SPEC, "importance": NONE}, 404, "/importance"),
    ({"kind": "reproduce", "item": "table9"}, 422, "/item"),
    ({"kind": "reproduce"}, 422, "/item"),
    ({"kind": "graph", "widths": [4], "edges": 1}, 422, "/widths"),
    ({"kind": "graph", "widths": [4, 0], "edges": 0}, 422, "/widths"),
    ({"kind": "graph", "widths": [4, 4], "edges": 17}, 422, "/edges"),
    ({"kind": "graph", "widths": [4, 4], "edges": -1}, 422, "/edges"),
    ({"kind": "graph", "widths": [60_000, 60_000], "edges": 1}, 422, "/widths"),
    ({"kind": "graph", "widths": [4, 4], "edges": 1, "method": "raiw"}, 422, "/method"),
]


@pytest.mark.parametrize(("body", "status", "pointer"), BAD, ids=str)
def test_a_wrong_request_is_told_where(http, body, status, pointer):
    answer = http.post("/v1/jobs", json=body)
    problem = answer.json()
    assert answer.status_code == status, problem
    places = {problem.get("pointer"), *(fault["pointer"] for fault in problem.get("errors", ()))}
    assert pointer in places, problem


def put(http, data: bytes) -> str:
    digest = digest_of(data)
    assert http.put(f"/v1/blobs/{digest}", content=data).status_code in {200, 201}
    return digest


WEIGHTS = {
    "conv.weight": np.zeros((8, 3, 3, 3), np.float32),
    "fc.weight": np.zeros((10, 20), np.float32),
    "fc.bias": np.zeros(10, np.float32),
    "table.embed.weight": np.zeros((50, 4), np.float32),
}


def test_the_spec_of_a_checkpoint(http):
    data = save(WEIGHTS)
    answer = http.post("/v1/specs", json={"weights": put(http, data), "density": 0.25, "name": "n"})
    assert answer.status_code == 200
    found = answer.json()
    reading = read_shapes({name: array.shape for name, array in WEIGHTS.items()})
    assert found["spec"] == json.loads(
        json.dumps(Spec.of_layers(reading.layers, {"density": 0.25}, "n").canonical())
    )
    assert found["skipped"] == {"table.embed.weight": "an embedding, by its name"}
    assert found["assumed"]
    assert http.post("/v1/plan", json={"spec": found["spec"]}).status_code == 200
    turned = http.post("/v1/specs", json={"weights": digest_of(data), "transposed": ["fc"]})
    layers = {layer["name"]: layer for layer in turned.json()["spec"]["layers"]}
    assert (layers["fc"]["in_features"], layers["fc"]["out_features"]) == (10, 20)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"weights": NONE}, 404),
        ({"weights": "weights.safetensors"}, 422),
        ({"weights": NONE, "density": 1.5}, 422),
        ({"weights": NONE, "transposed": ["*"] * 17}, 422),
        ({"weights": NONE, "path": "/etc/passwd"}, 422),
        ([], 422),
    ],
)
def test_a_wrong_request_for_a_spec(http, body, status):
    answer = http.post("/v1/specs", json=body)
    assert_problem(answer, status, answer.json()["code"])


def test_a_checkpoint_without_layers_or_with_too_many_is_told(http):
    empty = put(http, save({"steps": np.zeros(3, np.float32)}))
    assert_problem(http.post("/v1/specs", json={"weights": empty}), 422, "invalid-spec")
    some = put(http, save(WEIGHTS))
    wrong = http.post("/v1/specs", json={"weights": some, "transposed": ["fx"]})
    assert_problem(wrong, 422, "invalid-spec")
    assert "'fx'" in wrong.json()["detail"]
    many = put(http, save({f"l{i}.weight": np.zeros((2, 2), np.float32) for i in range(10_001)}))
    answer = http.post("/v1/specs", json={"weights": many})
    assert answer.status_code in {413, 422}


def test_a_checkpoint_made_to_take_long_is_read_in_time_that_grows_with_it():
    square = {f"{i}.q{i}.weight": (2, 2) for i in range(6000)}
    biased = {f"{i}.q{i}.bias": (2,) for i in range(6000)}
    sides = {f"s{i}.r{i}.weight": (3, 2) for i in range(4000)}
    sides |= {f"s{i}.r{i}.bias": (3,) for i in range(4000)}
    seen = 0

    class Counted(str):
        __slots__ = ()

        def rpartition(self, sep):
            nonlocal seen
            seen += 1
            return str.rpartition(self, sep)

    names = {Counted(name): shape for name, shape in {**square, **biased, **sides}.items()}
    assert len(read_shapes(names).layers) == 10_000
    assert seen < 20 * len(names)


def test_nobody_reads_the_checkpoint_of_another_owner(start):
    server = start(require_keys=True)
    data = save(WEIGHTS)
    with calling(server, make_key(server, "alice").key) as alice:
        digest = put(alice, data)
        assert alice.post("/v1/specs", json={"weights": digest}).status_code == 200
    with calling(server, make_key(server, "mallory").key) as mallory:
        assert mallory.post("/v1/specs", json={"weights": digest}).status_code == 404
    with calling(server, make_key(server, "carol", "jobs:read").key) as carol:
        assert carol.post("/v1/specs", json={"weights": digest}).status_code == 403


def test_priority_needs_a_server(capsys):
    assert run(["reproduce", "table4", "--local", "--priority", "low"]) == exits.USAGE
    assert "--server" in capsys.readouterr().err
