"""Content keys: whatever can change a bit of a result changes its key."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.jobs.budget import BudgetJob
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.jobs.graph import GraphJob
from raiw.jobs.prune import PruneJob
from raiw.jobs.registry import KINDS
from raiw.jobs.reproduce import ReproduceJob
from raiw.jobs.score import ScoreJob
from raiw.jobs.search import SearchJob
from raiw.jobs.speed import SpeedJob
from raiw.jobs.study import StudyJob
from raiw.jobs.train import TrainJob
from raiw.jobs.verify import VerifyJob
from raiw.pipeline import craft_mask, mask_key
from raiw.scores.importance import open_importance
from raiw.specs.crafting import Craft
from raiw.specs.document import Document
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.training.dynamics import Dynamics
from raiw.training.recipe import Recipe
from service.contract.requests import REQUESTS, UNKEYED

DIGEST, OTHER = ("sha256:" + digit * 64 for digit in "01")
LAYERS = [
    {"name": "a", "kind": "linear", "in_features": 8, "out_features": 12},
    {"name": "b", "kind": "conv2d", "in_channels": 8, "out_channels": 8, "kernel_size": [3, 3]},
]
SPEC = {
    "name": "mine",
    "layers": LAYERS,
    "craft": {"degree": 4, "rules": [{"match": "b", "density": 0.5, "note": "why"}]},
    "importance": {},
    "gates": {"max_weights": 5},
}
UNGATED = {name: value for name, value in SPEC.items() if name != "gates"}
SHARED = {"layers": LAYERS, "craft": {"density": 0.5}}
NETWORK = {"network": "digits-cnn", "data": "digits"}
JOBS: list[JobDocument] = [
    CraftJob.parse({"spec": SPEC, "importance": DIGEST}),
    ScoreJob.parse({**NETWORK, "weights": DIGEST}),
    PruneJob.parse({**NETWORK, "weights": DIGEST, "data": DIGEST}),
    TrainJob.parse({**NETWORK, "spec": UNGATED, "importance": DIGEST}),
    TrainJob.parse({**NETWORK, "masks": DIGEST}),
    TrainJob.parse({**NETWORK, "masks": DIGEST, "recipe": {"dynamics": {"method": "rigl"}}}),
    TrainJob.parse({**NETWORK, "floors": [{"epoch": 1, "accuracy": 0.5}]}),
    SpeedJob.parse({"network": "digits-cnn", "spec": UNGATED, "importance": DIGEST}),
    BudgetJob.parse({"spec": SHARED, "importance": DIGEST, "method": "afie"}),
    BudgetJob.parse({"spec": SHARED, "importance": DIGEST, "method": "score", "craft": True}),
    VerifyJob.parse({"masks": DIGEST, "spec": UNGATED}),
    VerifyJob.parse({"file": DIGEST, "importance": DIGEST}),
    StudyJob.parse({"spec": UNGATED, "importance": DIGEST, "methods": ["raiw", "random"]}),
    GraphJob.parse({"widths": [4, 6, 3], "edges": 12}),
    ReproduceJob.parse({"item": "table4"}),
    SearchJob.parse({**NETWORK, "budget": {"parameters": 2000}}),
]
Path_ = tuple[str | int, ...]


def documents(root: Document, at: Path_ = ()) -> Iterator[tuple[Path_, Document]]:
    """Yield a document and all those inside it, with where they stand."""
    yield at, root
    for name in type(root).model_fields:
        value = getattr(root, name)
        inside = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for place, item in inside:
            if isinstance(item, Document):
                yield from documents(item, (*at, name, *(() if place is None else (place,))))


def changed(value: Any, at: Path_, other: Any) -> Any:
    """Return a document with another value at one place, unchecked."""
    if not at:
        return other
    first, *rest = at
    if isinstance(value, tuple):
        return tuple(
            changed(item, tuple(rest), other) if place == first else item
            for place, item in enumerate(value)
        )
    inner = changed(getattr(value, str(first)), tuple(rest), other)
    return value.model_copy(update={str(first): inner})


OTHERS: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value + 1,
    str: lambda value: OTHER if value == DIGEST else f"{value}x",
    tuple: lambda value: value[:-1] if value else (*value, 1),
    dict: lambda value: {**value, "another": 1},
    type(None): lambda _: 1,
}
VALID = {
    (Craft, "algorithm"): "random",
    (Recipe, "dynamics"): Dynamics(method="rigl"),
    (PruneJob, "recipe"): Recipe(),
    (ScoreJob, "method"): "magnitude + gradient",
    (TrainJob, "spec"): Spec.parse(UNGATED),
}
"""For fields that the key looks into."""


def other_value(document: Document, name: str) -> Any:
    """Return a value that a field does not have."""
    value, extra = getattr(document, name), type(document).model_fields[name].json_schema_extra
    if isinstance(extra, dict) and "enum" in extra:
        return next(choice for choice in extra["enum"] if choice != value)
    if (type(document), name) in VALID:
        return VALID[type(document), name]
    return OTHERS[type(value)](value)


CHANGES = [
    (job, at, document, name)
    for job in JOBS
    for at, document in documents(job)
    for name in type(document).model_fields
    if not (document is job and name == "kind")  # its class has no other
    if not isinstance(getattr(document, name), Document)  # each of its own fields is changed
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[0].kind}-{c[1]}-{c[3]}")
def test_the_key_changes_with_every_field(change: Any) -> None:
    """Even with a name, which stands in the mask file; with gates alone it does not."""
    job, at, document, name = change
    other = changed(job, (*at, name), other_value(document, name))
    assert other != job
    assert (other.content_key() == job.content_key()) == ("gates" in (*at, name))


def test_every_document_was_changed() -> None:
    for module in pkgutil.walk_packages(raiw.__path__, "raiw."):
        if not module.name.startswith(("raiw.cli", "raiw.__main__")):
            importlib.import_module(module.name)

    def below(kind: type[Document]) -> set[type[Document]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    found = {kind for kind in below(Document) if kind.__module__.startswith("raiw.")}
    leaves = {kind for kind in found if not any(k in found for k in kind.__subclasses__())}
    assert leaves == {type(document) for _, _, document, _ in CHANGES}


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_of_a_request_is_that_of_its_document(kind: str) -> None:
    job = next(job for job in JOBS if job.kind == kind)
    body = job.model_dump(mode="json") | {"metadata": {"a": "b"}, "timeout_seconds": 5}
    request: Any = REQUESTS[kind].model_validate(body)
    assert request.document() == job
    assert request.content_key() == request.document().content_key() == job.content_key()
    assert set(type(request).model_fields) - UNKEYED == set(KINDS[kind].document.model_fields)


def test_a_name_changes_no_mask_but_its_file() -> None:
    """Why it is part of a spec's key and of no unit's."""
    mine, yours = (raiw.craft(SPEC | {"name": name, "importance": None}) for name in "ab")
    assert mine.digest == yours.digest
    assert mine.to_bytes() != yours.to_bytes()


def test_another_default_is_another_key() -> None:
    """Although the document that is written down says the same."""

    class Sure(Craft):
        certify: bool = False

    class Uncertified(Spec):
        craft: Sure = Sure()

    spec, other = Spec.parse(SPEC), Uncertified.parse(SPEC)
    assert spec.canonical() == other.canonical()
    assert spec.content_key() != other.content_key()


PLANNED = {
    *("algorithm", "degree", "density", "edges", "n", "m", "parameters", "flops"),
    *(
        "allocation",
        "group_outputs",
        "group_inputs",
        "rules",
        "keep_first",
        "keep_last",
        "min_fan_in",
    ),
}
"""Fields of ``craft`` that have done their work once layers are planned."""

# The key of a mask, of which the keys of units are made.

NM = Spec.parse({"layers": LAYERS, "craft": {"algorithm": "nm", "n": 2, "m": 4}})


def key(planned: PlannedLayer, algorithm: str, craft: Craft, importance: Any = None) -> str:
    return digest_of_json(mask_key(planned, algorithm, craft, importance))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_of_a_mask_changes_with_every_field_of_its_layer(algorithm: str) -> None:
    """But for where its target stands, and for options of other algorithms."""
    planned = replace(NM.plan(scored=True).layers[1], position=1)
    before = key(planned, algorithm, NM.craft)
    options = {option for entry in ALGORITHMS.values() for option in entry.options}
    for field in fields(planned):
        value = getattr(planned, field.name)
        if field.name == "layer":
            for name in type(value).model_fields:
                layer = value.model_copy(update={name: other_value(value, name)})
                assert key(replace(planned, layer=layer), algorithm, NM.craft) != before
            continue
        other = value + (1 if isinstance(value, int) else "x")
        same = key(replace(planned, **{field.name: other}), algorithm, NM.craft) == before
        foreign = field.name in options and field.name not in ALGORITHMS[algorithm].options
        assert same is (foreign or field.name == "pointer"), field.name


@pytest.mark.parametrize("name", Craft.model_fields)
def test_the_key_of_a_mask_changes_with_every_field_of_craft_that_is_not_planned(name: str) -> None:
    (planned, *_), craft = NM.plan(scored=True).layers, NM.craft
    other = craft.model_copy(update={name: other_value(craft, name)})
    same = key(planned, "raiw", other) == key(planned, "raiw", craft)
    assert same is (name in PLANNED)


def test_the_key_of_a_mask_changes_with_its_scores_and_how_they_are_read(tmp_path: Path) -> None:
    scores = {"a": np.ones((12, 8), np.float32), "b": np.ones((8, 8), np.float32)}
    keys = set()
    for factor in (1, 2):
        for method in ("scores", "magnitude"):
            spec = Spec.parse(
                {"layers": LAYERS, "importance": {"method": method}, "craft": {"degree": 4}}
            )
            file = {name: factor * values for name, values in scores.items()}
            (planned, *_) = spec.plan(scored=True).layers
            keys.add(key(planned, "raiw", spec.craft, open_importance(file, spec)))
    assert len(keys) == 4
    keys.add(key(planned, "raiw", spec.craft, None))
    assert len(keys) == 5
    plain = Spec.parse({"layers": LAYERS, "craft": {"degree": 4}})
    assert key(planned, "raiw", plain.craft, open_importance(scores, plain)) in keys


@given(
    craft=st.fixed_dictionaries(
        {"algorithm": st.sampled_from(["raiw", "regular", "random", "nm", "expander"])},
        optional={
            "seed": st.integers(0, 2),
            "m": st.sampled_from([2, 4]),
            "group_outputs": st.sampled_from([1, 2]),
            "group_inputs": st.sampled_from([1, 2]),
            "certify": st.booleans(),
        },
    ),
    target=st.sampled_from([{"density": 0.5}, {"degree": 4}, {"edges": 32}]),
    scored=st.booleans(),
)
def test_equal_keys_of_masks_are_equal_masks(
    craft: dict[str, Any], target: dict[str, Any], scored: bool
) -> None:
    """Whatever specs they are from: half of the edges may be asked for in many ways."""
    scored = scored or craft["algorithm"] == "raiw"
    layers = [{**LAYERS[0], "out_features": 8}]
    spec = Spec.parse({"layers": layers, "craft": craft | target})
    scores = {"a": np.arange(64, dtype=np.float32).reshape(8, 8) % 7} if scored else None
    importance = None if scores is None else open_importance(scores, spec)
    plan = spec.plan(scored=scored)
    arguments = plan.layers[0], plan.algorithm, spec.craft, importance
    mask = craft_mask(*arguments)
    seen = _masks_by_key.setdefault(key(*arguments), mask)
    assert np.array_equal(seen.graph.bits, mask.graph.bits)
    assert (seen.kept_score, seen.upper_bound) == (mask.kept_score, mask.upper_bound)


_masks_by_key: dict[str, Any] = {}
