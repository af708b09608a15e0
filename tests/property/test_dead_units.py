"""Dead units: they are counted before and after crafting, and three options prevent them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import raiw
from raiw.algorithms import ALGORITHMS, Contract
from raiw.errors import DeadUnitsFound, ImpossibleTarget, Infeasible, InvalidSpec
from raiw.specs.contracts import even_sides
from raiw.specs.spec import Spec


@st.composite
def networks(draw: st.DrawFn) -> list[dict[str, Any]]:
    layers = []
    for index in range(draw(st.integers(1, 5))):
        groups = draw(st.integers(1, 3))
        layers.append(
            {
                "name": f"layer{index}",
                "kind": "conv2d",
                "in_channels": groups * 2 * draw(st.integers(1, 6)),
                "out_channels": groups * 2 * draw(st.integers(1, 8)),
                "kernel_size": draw(st.integers(1, 3)),
                "groups": groups,
            }
        )
    return layers


def scores_of(spec: Spec, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {layer.name: rng.normal(size=layer.graph_shape) for layer in spec.layers}


ONE_GRAPH = [
    name
    for name, entry in ALGORITHMS.items()
    if entry.contract in {Contract.REGULAR, Contract.FAN_IN, Contract.ONE_SIDED, Contract.EDGES}
    if name not in {"optimal", "greedy", "greedy_min"}
]


@given(
    networks(),
    st.floats(0, 0.4),
    st.sampled_from(ONE_GRAPH),
    st.fixed_dictionaries({"group_outputs": st.integers(1, 2), "group_inputs": st.integers(1, 2)}),
    st.data(),
)
@settings(max_examples=150)
def test_a_plan_counts_dead_units_exactly_on_even_sides_and_else_the_fewest(
    layers: list[dict[str, Any]],
    density: float,
    algorithm: str,
    blocks: dict[str, int],
    data: st.DataObject,
) -> None:
    craft = {"density": density, "algorithm": algorithm} | blocks
    spec = Spec.parse({"layers": layers, "craft": craft})
    masks = raiw.craft(spec, scores_of(spec, data.draw(st.integers(0, 9))))
    for planned, mask in zip(spec.plan(scored=True).layers, masks.values(), strict=True):
        even = even_sides(planned.contract, planned.group_shape)
        for side, degrees, fewest in (
            ("out", mask.out_degrees(), planned.unreached_outputs),
            ("in", mask.in_degrees(), planned.unreached_inputs),
        ):
            dead = int((degrees == 0).sum())
            assert dead == fewest if side in even else dead >= fewest


@given(networks(), st.floats(0, 0.4))
def test_masks_name_the_layers_with_dead_units(
    layers: list[dict[str, Any]], density: float
) -> None:
    masks = raiw.craft({"layers": layers, "craft": {"density": density, "algorithm": "random"}})
    named = {units.layer: units for units in masks.dead_units}
    for place, (name, mask) in enumerate(masks.items()):
        outputs = int((mask.out_degrees() == 0).sum())
        inputs = int((mask.in_degrees() == 0).sum()) if place else 0  # the network's own may be
        found = named.get(name)
        assert (outputs, inputs) == ((found.outputs, found.inputs) if found else (0, 0))
        if found is not None:
            assert (found.all_outputs, found.all_inputs) == (
                len(mask.out_degrees()),
                len(mask.in_degrees()),
            )


TARGETS = st.one_of(
    st.fixed_dictionaries({"density": st.floats(0, 1)}),
    st.fixed_dictionaries({"edges": st.integers(0, 4)}),
    st.fixed_dictionaries(
        {"share": st.floats(0, 1), "allocation": st.sampled_from([None, "erk", "degree"])}
    ),
)


@given(networks(), TARGETS, st.integers(1, 4), st.integers(0, 2), st.integers(0, 2), st.booleans())
@settings(max_examples=300)
def test_options_hold_with_every_target_and_totals_are_still_met(
    layers: list[dict[str, Any]],
    target: dict[str, Any],
    fan_in: int,
    first: int,
    last: int,
    ruled: bool,
) -> None:
    dense = Spec.parse({"layers": layers, "craft": {"density": 1.0}}).plan()
    craft: dict[str, Any] = {"min_fan_in": fan_in, "keep_first": first, "keep_last": last} | target
    if ruled:
        craft["rules"] = [{"match": "layer0", "density": 0.1}]
    if "share" in craft:
        craft["parameters"] = int(craft.pop("share") * dense.weights)
    try:
        plan = Spec.parse({"layers": layers, "craft": craft}).plan()
    except ImpossibleTarget as error:
        assume("allocation" in target)
        craft["parameters"] = error.details["nearest"]
        plan = Spec.parse({"layers": layers, "craft": craft}).plan()
        assert plan.weights == craft["parameters"]
    for place, layer in enumerate(plan.layers):
        if place < first or place >= len(layers) - last:
            assert layer.dense
        assert layer.degree_range("out")[0] >= min(fan_in, layer.shape[1])
        assert layer.unreached_outputs == 0
    if "parameters" in craft:
        largest = max(layer.layer.taps for layer in plan.layers)
        assert craft["parameters"] - largest < plan.weights <= craft["parameters"]


@given(networks(), st.floats(0.2, 1), st.sampled_from(["score", "global"]), st.integers(0, 9))
@settings(max_examples=100)
def test_budgets_by_scores_leave_every_output_its_edges(
    layers: list[dict[str, Any]], density: float, method: str, seed: int
) -> None:
    options: dict[str, Any] = {"density": density, "min_fan_in": 1, "keep_last": 1}
    options["rules"] = [{"match": "layer0", "density": 0.0}]
    spec = Spec.parse({"layers": layers, "craft": {"density": 0.0} | options})
    scores = {name: np.exp(4 * table) for name, table in scores_of(spec, seed).items()}
    try:
        shared = raiw.budget(spec, scores, method)
    except ImpossibleTarget:
        return  # the total is less than what min_fan_in takes
    plan = shared.plan(scored=True)
    assert all(layer.unreached_outputs == 0 for layer in plan.layers)
    assert plan.layers[-1].dense
    free = [layer for layer in plan.layers[:-1] if layer.name != "layer0"]
    total = sum(layer.dense_weights for layer in free)
    taps = max((layer.layer.taps for layer in free), default=1)
    assert abs(sum(layer.weights for layer in free) - density * total) <= taps
    masks = raiw.craft(shared, scores)
    assert all(units.outputs == 0 for units in masks.dead_units)


RESNET_STEM = {
    "name": "conv1", "kind": "conv2d", "in_channels": 3, "out_channels": 64, "kernel_size": 7
}  # fmt: skip
HEAD = {"name": "fc", "kind": "linear", "in_features": 512, "out_features": 10}


def test_a_stem_that_starves_is_named_refused_and_mended() -> None:
    document = {"layers": [RESNET_STEM, HEAD], "craft": {"density": 0.1}}
    (stem,) = Spec.parse(document).plan().dead_units
    assert str(stem) == "conv1 (45 of 64 outputs without an input edge)"
    with pytest.warns(UserWarning, match=r"1 layer has dead units: conv1 \(45 of 64") as told:
        masks = raiw.craft(document)
    assert told[0].filename == __file__
    assert masks.dead_units == [stem]
    with pytest.raises(DeadUnitsFound, match="min_fan_in") as caught:
        raiw.craft(document, strict=True)
    assert caught.value.details["dead_units"] == [stem.model_dump()]
    for mended in ({"min_fan_in": 1}, {"keep_first": 1}):
        craft = {"density": 0.1} | mended
        assert not raiw.craft(document | {"craft": craft}, strict=True).dead_units


def test_strict_sees_what_only_the_scores_decide() -> None:
    scores = {"conv1": np.ones((64, 3)), "fc": np.ones((10, 512))}
    scores["fc"][0] = -1.0
    craft = {"density": 0.5, "algorithm": "magnitude", "keep_first": 1}
    with pytest.raises(DeadUnitsFound, match=r"fc \(1 of 10 outputs"):
        raiw.craft({"layers": [RESNET_STEM, HEAD], "craft": craft}, scores, strict=True)


@pytest.mark.parametrize(
    ("craft", "words"),
    [
        ({"algorithm": "magnitude"}, "'magnitude' promises an output 0 input edges"),
        ({"algorithm": "random"}, "'random' promises"),
        ({"algorithm": "expander"}, "layer 'conv1': 'expander'"),  # fewer inputs than outputs
    ],
)
def test_what_an_algorithm_cannot_promise_is_refused(craft: dict[str, Any], words: str) -> None:
    document = {"layers": [RESNET_STEM, HEAD], "craft": {"density": 0.1, "min_fan_in": 1} | craft}
    with pytest.raises(InvalidSpec, match=words) as caught:
        Spec.parse(document)
    assert caught.value.pointer == "/craft/min_fan_in"


def test_patterns_are_rounded_up_to_the_next_there_is() -> None:
    layer = {"name": "fc", "kind": "linear", "in_features": 16, "out_features": 8}
    for algorithm, wanted, fan_in in (("nm", 3, 4), ("nm", 1, 4), ("radix", 3, 4), ("radix", 5, 8)):
        craft = {"algorithm": algorithm, "density": 0.125 if algorithm == "radix" else 0.0}
        (planned,) = (
            Spec.parse({"layers": [layer], "craft": craft | {"min_fan_in": wanted}})
            .plan(scored=True)
            .layers
        )
        assert planned.degree_range("out")[0] == fan_in


def test_a_global_budget_names_the_layer_whose_scores_are_forbidden() -> None:
    scores = {"conv1": np.ones((64, 3)), "fc": np.full((10, 512), -np.inf)}
    craft = {"density": 0.5, "min_fan_in": 1}
    with pytest.raises(Infeasible, match="layer 'fc': min_fan_in takes 10 edges, only 0"):
        raiw.budget({"layers": [RESNET_STEM, HEAD], "craft": craft}, scores, "global")


def test_a_total_counts_what_min_fan_in_gives_to_layers_with_a_rule() -> None:
    layers = [RESNET_STEM | {"kernel_size": 1}, HEAD]
    craft = {"parameters": 500, "min_fan_in": 1, "rules": [{"match": "conv1", "density": 0.0}]}
    spec = Spec.parse({"layers": layers, "craft": craft})
    shared = raiw.budget(spec, scores_of(spec), "global")
    for plan in (spec.plan(), shared.plan()):
        assert [layer.edges for layer in plan.layers] == [64, 436]
