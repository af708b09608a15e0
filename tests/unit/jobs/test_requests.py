"""Requests for jobs: what their content keys cover."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from raiw.algorithms import ALGORITHMS
from raiw.errors import InvalidInput
from raiw.importance.methods import SCORES
from raiw.jobs.registry import KINDS
from raiw.pruning.methods import METHODS
from service.contract.requests import JobRequest

WEIGHTS = "sha256:" + "0" * 64
NETWORK = {"network": "digits-cnn", "data": "digits"}
REQUESTS = {
    "score": {"kind": "score", "weights": WEIGHTS, "method": "snip"},
    "prune": {"kind": "prune", "weights": WEIGHTS, "method": "entropic"},
    "train": {"kind": "train", "spec": {"model": "digits-cnn", "craft": {"degree": 4}}},
}


def key(**body: Any) -> str:
    request: Any = TypeAdapter(JobRequest).validate_python(NETWORK | body)
    return str(request.content_key())


@pytest.mark.parametrize(
    ("kind", "registry", "name"),
    [("score", SCORES, "snip"), ("prune", METHODS, "entropic"), ("train", ALGORITHMS, "regular")],
)
def test_a_new_revision_of_what_does_the_work_makes_another_key(
    monkeypatch: pytest.MonkeyPatch, kind: str, registry: dict[str, Any], name: str
) -> None:
    before = key(**REQUESTS[kind])
    revised = replace(registry[name], revision=registry[name].revision + 1)
    monkeypatch.setitem(registry, name, revised)
    assert key(**REQUESTS[kind]) != before


def test_the_key_is_that_of_the_task_and_nothing_else() -> None:
    train = {"kind": "train"}
    keys = {
        key(**train),
        key(**train, seeds=[1]),
        key(**train, seeds=[0, 1]),
        key(**train, seeds=[1, 0]),
        key(**train, recipe={"epochs": 3}),
        key(**train, data=WEIGHTS),
        key(**train, masks=WEIGHTS),
        *(key(**body) for body in REQUESTS.values()),
        key(**REQUESTS["train"], importance=WEIGHTS),
        key(**REQUESTS["score"], seed=1),
    }
    assert len(keys) == 12
    assert key(**train, recipe={"epochs": 300}, metadata={"a": "b"}) == key(**train)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "train", "network": "digits-cnn", "data": "digits"},
        {"kind": "speed", "network": "digits-cnn"},
    ],
)
def test_gates_are_refused_where_nobody_would_check_them(body: dict[str, Any]) -> None:
    spec = {"model": "digits-cnn", "craft": {"degree": 4}, "gates": {"components": 1}}
    with pytest.raises(InvalidInput, match="job: craft the spec first") as caught:
        KINDS[body["kind"]].document.parse({**body, "spec": spec})
    assert caught.value.pointer == "/spec/gates"
