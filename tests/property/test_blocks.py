"""Consecutive outputs, and consecutive inputs, that are one vertex of the graph that is crafted."""

import copy
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.budgets.budget import budget
from raiw.errors import ImpossibleTarget, InvalidImportance, InvalidSpec
from raiw.graphs import Graph
from raiw.specs.blocks import EdgeBlock
from raiw.specs.contracts import reachable_edges
from raiw.specs.renaming import renamed
from raiw.specs.spec import Spec
from tests.reference.crafting import keeps_contract


@st.composite
def networks(draw: st.DrawFn) -> dict:
    groups, outputs, inputs = (draw(st.integers(1, most)) for most in (3, 4, 4))
    layer = {
        "name": "conv",
        "kind": "conv2d",
        "in_channels": groups * inputs * draw(st.integers(1, 8)),
        "out_channels": groups * outputs * draw(st.integers(1, 6)),
        "kernel_size": draw(st.integers(1, 2)),
        "groups": groups,
    }
    craft = {"density": draw(st.floats(0, 1)), "group_outputs": outputs, "group_inputs": inputs}
    return {"layers": [layer], "craft": craft}


ANY_EDGES = {
    name for name, a in ALGORITHMS.items() if reachable_edges(a.contract, (4, 4), 4) is None
}


@pytest.mark.parametrize("algorithm", sorted(ANY_EDGES - {"dense"}))
@given(document=networks(), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_every_algorithm_keeps_whole_blocks(algorithm: str, document: dict, seed: int) -> None:
    document["craft"]["algorithm"] = algorithm
    (planned,) = Spec.parse(document).plan(scored=True).layers
    scores = np.random.default_rng(seed).random(planned.shape)
    masks = raiw.craft(document, {"conv": scores})
    kept = masks["conv"].numpy()
    assert kept.sum() == planned.edges
    rows, columns = planned.group_shape
    blocks = kept.reshape(
        planned.graphs, rows, planned.group_outputs, columns, planned.group_inputs
    )
    vertices = blocks[:, :, 0, :, 0]
    assert (blocks == vertices[:, :, None, :, None]).all()
    if ALGORITHMS[algorithm].regular:
        for group, edges in zip(vertices, planned.group_edges, strict=True):
            assert keeps_contract(group.tolist(), edges)
        for side, degrees in (
            ("in", masks["conv"].in_degrees()), ("out", masks["conv"].graph.out_degrees())
        ):  # fmt: skip
            low, high = planned.degree_range(side)
            assert all(low <= degree <= high for degree in degrees)
    assert raiw.verify(masks, document, {"conv": scores}).ok


@given(networks(), st.integers(0, 99))
@settings(max_examples=30)
def test_scores_are_added_over_the_group(document: dict, seed: int) -> None:
    """The same graph comes of a network that has one vertex for each group, and the sums."""
    document["craft"]["algorithm"] = "raiw"
    large_document = copy.deepcopy(document)
    (planned,) = Spec.parse(document).plan(scored=True).layers
    outputs, inputs = planned.group_outputs, planned.group_inputs
    scores = np.random.default_rng(seed).integers(0, 9, planned.shape).astype(np.float32)
    rows, columns = planned.shape[0] // outputs, planned.shape[1] // inputs
    layer = document["layers"][0]
    layer |= {"out_channels": rows, "in_channels": columns * planned.groups}
    summed = {"layers": [layer], "craft": {"edges": planned.edges // planned.block.edges}}
    blocks = scores.reshape(rows, outputs, columns, inputs)
    small = raiw.craft(summed, {"conv": blocks.sum((1, 3))})["conv"].numpy()
    large = raiw.craft(large_document, {"conv": scores})["conv"].numpy()
    assert (np.kron(small, np.ones((outputs, inputs), bool)) == large).all()


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_bound_holds_where_sums_over_the_group_are_rounded(
    outputs: int, inputs: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([1e16, -1e16, 1.0, -1.5, 3.0], (2 * outputs, 2 * inputs))
    layer = {
        "name": "fc", "kind": "linear", "in_features": 2 * inputs, "out_features": 2 * outputs
    }  # fmt: skip
    craft = {"density": 0.5, "group_outputs": outputs, "group_inputs": inputs}
    mask = raiw.craft({"layers": [layer], "craft": craft}, {"fc": scores})["fc"]
    (a, b), (c, d) = (
        [sum(map(Fraction, block.flat)) for block in np.split(half, 2, axis=1)]
        for half in np.split(scores, 2)
    )
    assert mask.upper_bound >= float(max(a + d, b + c)) >= mask.kept_score


LAYERS = [
    {"name": "a", "kind": "linear", "in_features": 6, "out_features": 12},
    {"name": "b", "kind": "linear", "in_features": 12, "out_features": 10},
]


def test_what_a_group_cannot_share_is_refused_with_the_nearest() -> None:
    with pytest.raises(ImpossibleTarget, match=r"does not divide its 10 .* is 2") as caught:
        Spec.parse({"layers": LAYERS, "craft": {"degree": 4, "group_outputs": 4}})
    assert caught.value.pointer == "/craft/group_outputs"
    rules = [{"match": "b", "group_inputs": 3}, {"match": "c", "group_inputs": 4}]
    layers = [*LAYERS, {"name": "c", "kind": "linear", "in_features": 10, "out_features": 2}]
    with pytest.raises(ImpossibleTarget, match=r"does not divide its 10 .* is 2") as caught:
        Spec.parse({"layers": layers, "craft": {"degree": 2, "rules": rules}})
    assert caught.value.pointer == "/craft/rules/1"
    with pytest.raises(ImpossibleTarget, match="nearest feasible number is 32 edges"):
        Spec.parse({"layers": LAYERS[:1], "craft": {"edges": 30, "group_outputs": 4}})


def test_rules_differ_for_single_layers() -> None:
    rules = [{"match": "b", "group_outputs": 5}, {"match": "b", "density": 0.5}]
    craft = {"degree": 4, "group_outputs": 4, "rules": rules}
    plan = Spec.parse({"layers": LAYERS, "craft": craft}).plan()
    assert [layer.group_outputs for layer in plan.layers] == [4, 5]
    assert [layer.edges for layer in plan.layers] == [24, 60]
    dense = {"degree": 4, "group_outputs": 4, "rules": [{"match": "b", "dense": True}]}
    assert Spec.parse({"layers": LAYERS, "craft": dense}).plan().layers[1].group_outputs == 1


def test_a_weight_budget_is_met_in_whole_groups() -> None:
    craft = {"parameters": 100, "group_outputs": 2}
    assert Spec.parse({"layers": LAYERS, "craft": craft}).plan().weights == 100


def test_verify_sees_members_that_differ() -> None:
    document = {"layers": LAYERS[:1], "craft": {"degree": 4, "group_outputs": 4}}
    masks = raiw.craft(document)
    kept = masks["a"].numpy()
    kept[[0, 4]] = kept[[4, 0]]
    other = raiw.craft({"layers": LAYERS[:1], "craft": {"degree": 4, "seed": 1}})
    mixed = raiw.MaskSet(other.values(), masks.origin)
    faults = [check for check in raiw.verify(mixed).checks if check.name == "contract"]
    assert "not whole blocks of 4 × 1 (outputs × inputs)" in faults[0].faults[0]


@pytest.mark.parametrize("block", [{"group_outputs": 4}, {"group_inputs": 3}])
def test_sums_that_overflow_are_refused(block: dict) -> None:
    document = {"layers": LAYERS[:1], "craft": {"density": 0.5, "algorithm": "raiw"} | block}
    for scores in (np.full((12, 6), 1e308), np.full((12, 6), -1e308)):
        with pytest.raises(InvalidImportance, match="sum to infinity"):
            raiw.craft(document, {"a": scores})
    scores = np.zeros((12, 6))
    scores[:4, :3] = 1e308  # to infinity, but forbidden
    scores[:4, :3][np.diag_indices(3)] = scores[3, :3] = -np.inf
    assert not raiw.craft(document, {"a": scores})["a"].numpy()[:4, :3].any()


@pytest.mark.parametrize(("outputs", "inputs"), [(4, 1), (1, 3), (2, 3)])
def test_verify_sees_an_edge_that_left_its_block(outputs: int, inputs: int) -> None:
    craft = {"density": 0.5, "group_outputs": outputs, "group_inputs": inputs}
    document = {"layers": LAYERS[:1], "craft": craft}
    masks = raiw.craft(document)
    assert raiw.verify(masks, document).ok
    kept = masks["a"].numpy().copy()
    here, there = np.argwhere(kept)[-1], np.argwhere(~kept)[-1]
    kept[*here], kept[*there] = False, True
    moved = replace(masks["a"], graph=Graph.from_bool(kept))
    checks = raiw.verify(raiw.MaskSet([moved], masks.origin), document).checks
    (faults,) = [check.faults for check in checks if check.name == "contract"]
    assert "not whole blocks" in faults[0]


def test_a_fan_in_is_met_in_whole_blocks() -> None:
    craft = {"edges": 0, "min_fan_in": 3, "group_inputs": 2, "group_outputs": 2}
    (planned,) = Spec.parse({"layers": LAYERS[:1], "craft": craft}).plan().layers
    assert planned.degree_range("out") == (4, 4)
    assert (raiw.craft({"layers": LAYERS[:1], "craft": craft})["a"].out_degrees() == 4).all()


def test_patterns_of_n_in_m_are_of_blocks() -> None:
    layer = {"name": "a", "kind": "linear", "in_features": 16, "out_features": 8}
    craft = {"algorithm": "nm", "n": 1, "m": 4, "group_inputs": 2}
    kept = raiw.craft({"layers": [layer], "craft": craft})["a"].numpy()
    blocks = kept.reshape(8, 2, 4, 2)
    assert (blocks[..., 0] == blocks[..., 1]).all()
    assert (blocks[..., 0].sum(axis=2) == 1).all()
    with pytest.raises(InvalidSpec, match="m=4 does not divide its 2 groups of 8 inputs"):
        Spec.parse({"layers": [layer], "craft": craft | {"group_inputs": 8}})
    with pytest.raises(ImpossibleTarget, match=r"are 32 \(density 0.25\) and 64 \(density 0.5\)"):
        Spec.parse(
            {"layers": [layer], "craft": {"algorithm": "nm", "density": 0.3, "group_inputs": 2}}
        )
    (wider,) = Spec.parse({"layers": [layer], "craft": craft | {"min_fan_in": 5}}).plan().layers
    assert wider.degree_range("out") == (8, 8)


@pytest.mark.parametrize("method", ["score", "global"])
def test_a_budget_is_shared_in_whole_blocks(method: str) -> None:
    craft = {"density": 0.5, "group_outputs": 2, "group_inputs": 3}
    rng = np.random.default_rng(0)
    scores = {"a": rng.random((12, 6)), "b": rng.random((10, 12))}
    shared = budget({"layers": LAYERS, "craft": craft}, scores, method)
    planned = shared.plan(scored=True)
    assert planned.weights == 96
    assert all(layer.edges % 6 == 0 for layer in planned.layers)
    assert raiw.verify(raiw.craft(shared, scores), shared, scores).ok


def test_a_renamed_layer_keeps_its_blocks() -> None:
    rules = [{"match": "a", "group_inputs": 3}]
    craft = {"density": 0.5, "group_outputs": 2, "rules": rules}
    spec = renamed(Spec.parse({"layers": LAYERS, "craft": craft}), {"a": "first"})
    assert [layer.block for layer in spec.plan().layers] == [EdgeBlock(2, 3), EdgeBlock(2, 1)]
