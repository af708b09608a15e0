"""The document of the API: it says what validation does, and is the one that is checked in."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import TypeAdapter, ValidationError

from raiw.errors import RaiwError
from service.api.__main__ import text
from service.api.document import JOBS, UPLOADS
from service.contract.masks import UploadRequest
from service.contract.requests import JobRequest

DOCUMENT: dict[str, Any] = json.loads(text())
CHECKED_IN = Path(__file__).parents[3] / "docs" / "openapi.json"

CONV = {
    "name": "conv", "kind": "conv2d", "in_channels": 8, "out_channels": 6, "groups": 2,
    "kernel_size": [3, 3], "positions": 9,
}  # fmt: skip
LINEAR = {"name": "a", "kind": "linear", "in_features": 4, "out_features": 4, "positions": 2}
CRAFT = {
    "algorithm": "regular", "seed": 1, "density": 0.5, "allocation": "uniform", "m": 4,
    "group_outputs": 1, "certify": True, "rules": [{"match": "a", "dense": True, "note": "n"}],
}  # fmt: skip
COMMON = {"timeout_seconds": 3.5, "deadline_at": "2100-01-01T00:00:00Z", "metadata": {"a": "b"}}
FULL = {
    "craft": {"spec": {"name": "n", "layers": [LINEAR, CONV], "craft": CRAFT}, **COMMON},
    "score": {**JOBS["scores"]["value"], **COMMON, "samples": 5, "seed": 3},
    "prune": {
        **JOBS["pruned"]["value"], **COMMON, "samples": 5, "method": "entropic",
    },
    "train": {
        **JOBS["trained"]["value"], **COMMON,
        "recipe": {
            "epochs": 2, "batch": 8, "learning_rate": 0.1, "learning_rate_floor": 0.1,
            "halve_every": 3, "momentum": 0.5, "weight_decay": 0.1, "augment": True,
            "slimming": 0.0, "precision": "float32",
        },
    },
    "upload": UPLOADS["scores"]["value"],
}  # fmt: skip
OTHERS = [None, True, False, 0, 1, 2, 1.0, 8.0, 0.5, -1, 10**30, "1", "0.5", "true", "", [], {}]
TYPES = frozenset(
    f"{name}_{end}"
    for name in ("int", "float", "string", "bool", "dict", "tuple", "list", "model_attributes")
    for end in ("type", "parsing", "from_float", "parsing_size")
)
"""Faults that a schema can tell: anything else may be asked of a request besides."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = enumerate(value) if isinstance(value, list) else ()
    for key, child in value.items() if isinstance(value, dict) else inner:
        yield from places(child, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = target = copy.deepcopy(document)
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


def faults(adapter: TypeAdapter[Any], document: Any) -> set[str] | None:
    """Return the types of what validation finds; None when it finds nothing."""
    try:
        adapter.validate_python(document)
    except ValidationError as error:
        return {fault["type"] for fault in error.errors(include_url=False)}
    except RaiwError as error:
        return {error.code}
    return None


@pytest.mark.parametrize("name", FULL)
def test_validation_takes_what_the_schema_takes(name: str) -> None:
    path = "/v1/uploads" if name == "upload" else "/v1/jobs"
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"] | {"components": DOCUMENT["components"]}
    says = jsonschema_rs.validator_for(schema, validate_formats=True)
    own: Any = UploadRequest if name == "upload" else JobRequest
    adapter: TypeAdapter[Any] = TypeAdapter(own)
    assert says.is_valid(FULL[name])
    assert faults(adapter, FULL[name]) is None
    for where in places(FULL[name]):
        for value in OTHERS:
            changed = replaced(FULL[name], where, value)
            found = faults(adapter, changed)
            if says.is_valid(changed):
                assert not (found or set()) & TYPES, (where, value, found)
            else:
                assert found, (where, value)


def test_every_answer_has_a_schema_and_every_fault_is_a_problem() -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if method != "head" and status not in ("204", "304", "307"):
                    assert content, (path, method, status)
                for media_type, described in content.items():
                    assert described["schema"], (path, method, status, media_type)
                assert "X-Request-ID" in answer["headers"]
            for status in ("4XX", "5XX"):
                content = operation["responses"][status]["content"]
                assert content == {"application/problem+json": {"schema": problem}}
    names = [one["operationId"] for o in DOCUMENT["paths"].values() for one in o.values()]
    assert len(set(names)) == len(names)


def test_it_is_the_one_that_is_checked_in() -> None:
    renew = "python -m service.api > docs/openapi.json"
    same = CHECKED_IN.read_text("utf-8") == text()
    assert same, f"the API has changed; renew its document: {renew}"
