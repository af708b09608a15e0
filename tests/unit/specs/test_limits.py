"""What a document may hold: every list, mapping and string has an end, and few faults are told."""

import inspect
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from raiw.errors import InvalidInput, InvalidSpec, TooLarge
from raiw.jobs.craft import CraftJob
from raiw.specs.crafting import MAX_RULES
from raiw.specs.document import Document
from raiw.specs.limits import MAX_FAULTS, AtMost
from raiw.specs.spec import MAX_LAYERS, Spec
from service.contract import masks, requests

LAYER = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 8}
CONV = {"name": "c", "kind": "conv2d", "in_channels": 1, "out_channels": 1}
BODIES = [requests.JobRequest, CraftJob, masks.UploadRequest]


def without_end(schema: Any, at: str = "") -> Iterator[str]:
    """Yield the places of a JSON Schema where a value may be as long as it likes."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from without_end(item, f"{at}/{index}")
    if not isinstance(schema, dict):
        return
    limits = {
        "string": {"maxLength", "pattern", "enum", "const", "format"},
        "array": {"maxItems"},
        "object": {"maxProperties"} if schema.get("additionalProperties") is not False else set(),
    }
    ends = limits.get(schema.get("type"), set())
    if ends and not ends & schema.keys():
        yield at
    for key, value in schema.items():
        if key not in ("examples", "default", "propertyNames", "discriminator"):
            yield from without_end(value, f"{at}/{key}")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: getattr(body, "__name__", "JobRequest"))
def test_everything_in_a_body_has_an_end(body: Any) -> None:
    assert list(without_end(TypeAdapter(body).json_schema())) == []


def test_every_document_of_the_contract_is_looked_at() -> None:
    found = [
        kind
        for module in (masks, requests)
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Document)
        and kind.__module__ == module.__name__
    ]
    schemas = " ".join(str(TypeAdapter(body).json_schema()) for body in BODIES)
    bases = {requests.Request}
    assert [kind for kind in found if kind not in bases and kind.__name__ not in schemas] == []


@pytest.mark.parametrize(
    ("document", "pointer", "limit"),
    [
        ({"layers": [LAYER], "craft": {"rules": [0] * 500_000}}, "/craft/rules", MAX_RULES),
        ({"layers": [{**CONV, "kernel_size": [0] * 500_000}]}, "/layers/0/kernel_size", 3),
    ],
)
def test_items_are_counted_before_any_is_looked_at(document, pointer, limit):
    with pytest.raises(InvalidSpec, match=str(limit)) as caught:
        Spec.parse(document)
    assert [fault["pointer"] for fault in caught.value.problems] == [pointer]


def test_layers_are_counted_first():
    with pytest.raises(TooLarge, match=str(MAX_LAYERS)):
        Spec.parse({"layers": [0] * (MAX_LAYERS + 1)})


def test_faults_are_told_in_order_up_to_a_number():
    layers = [{**LAYER, "name": f"l{i}", "in_features": -1} for i in range(2 * MAX_FAULTS)]
    with pytest.raises(InvalidSpec, match=f"and {MAX_FAULTS - 1} more") as caught:
        Spec.parse({"layers": layers})
    found = [fault["pointer"] for fault in caught.value.problems]
    assert found == [f"/layers/{i}/in_features" for i in range(MAX_FAULTS)]


def test_what_comes_after_enough_faults_is_not_looked_at():
    looked = []
    item = Annotated[int, BeforeValidator(lambda value: looked.append(value) or value)]
    many = TypeAdapter(Annotated[tuple[item, ...], AtMost(10_000)])
    with pytest.raises(ValidationError) as caught:
        many.validate_python(["x"] * 10_000)
    assert caught.value.error_count() == len(looked) == MAX_FAULTS


def test_faults_of_layers_far_apart_are_all_told():
    layers: list[Any] = [{**LAYER, "name": f"l{i}"} for i in range(50)]
    layers[3], layers[30]["kind"], layers[49]["q{msg}"] = 5, "x", 1
    rules = [{"match": "*", "degree": -1}, {"match": "*", "degree": 1}, {}]
    with pytest.raises(InvalidSpec) as caught:
        Spec.parse({"layers": layers, "craft": {"rules": rules}})
    found = [fault["pointer"] for fault in caught.value.problems]
    assert found == [
        *("/layers/3", "/layers/30", "/layers/49/q{msg}"),
        *("/craft/rules/0/degree", "/craft/rules/2/match"),
    ]


HUGE = "x" * 1_000_000


@pytest.mark.parametrize(
    "document",
    [
        {HUGE: 1},
        {"model": HUGE},
        {"layers": [{**LAYER, "kind": HUGE}]},
        {"layers": [{**LAYER, HUGE: HUGE}]},
        {"layers": [LAYER], "craft": {"algorithm": HUGE}},
        {"layers": [LAYER], "craft": {"rules": [{"match": HUGE, "degree": 1}]}},
        {"layers": [LAYER], "craft": {"rules": [{"match": "y" * 200, "degree": 1}]}},
    ],
)
def test_a_long_value_is_not_repeated(document):
    with pytest.raises(InvalidInput) as caught:
        Spec.parse(document)
    assert len(str(caught.value.details)) + len(caught.value.message) < 4000


@pytest.mark.parametrize("layers", [5, "abc", {}, [0], None, [{**LAYER, "name": "x"}]])
def test_other_layers_beside_a_model_are_refused(layers):
    with pytest.raises(InvalidSpec, match="not both"):
        Spec.parse({"model": "lenet-mnist", "layers": layers})


@pytest.mark.parametrize("value", [["x"], ["x", 1], [1, "x"], ["x", "x"]])
def test_a_list_that_needs_an_item_tells_of_its_faulty_ones(value: list[Any]) -> None:
    needed = TypeAdapter(Annotated[tuple[int, ...], Field(min_length=1), AtMost(3)])
    with pytest.raises(ValidationError) as caught:
        needed.validate_python(value)
    places = [fault["loc"] for fault in caught.value.errors()]
    assert places == [(place,) for place, item in enumerate(value) if item == "x"]
