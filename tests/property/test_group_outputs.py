"""Outputs that share their inputs: one vertex of the graph that is crafted."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.errors import ImpossibleTarget, InvalidImportance
from raiw.specs.contracts import reachable_edges
from raiw.specs.spec import Spec
from tests.reference.crafting import keeps_contract


@st.composite
def networks(draw: st.DrawFn) -> dict:
    groups, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    layer = {
        "name": "conv",
        "kind": "conv2d",
        "in_channels": groups * draw(st.integers(1, 8)),
        "out_channels": groups * outputs * draw(st.integers(1, 6)),
        "kernel_size": draw(st.integers(1, 2)),
        "groups": groups,
    }
    craft = {"density": draw(st.floats(0, 1)), "group_outputs": outputs}
    return {"layers": [layer], "craft": craft}


ANY_EDGES = {
    name for name, a in ALGORITHMS.items() if reachable_edges(a.contract, (4, 4), 4) is None
}


@pytest.mark.parametrize("algorithm", sorted(ANY_EDGES - {"dense"}))
@given(document=networks(), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_every_algorithm_crafts_one_vertex_for_a_group(
    algorithm: str, document: dict, seed: int
) -> None:
    document["craft"]["algorithm"] = algorithm
    (planned,) = Spec.parse(document).plan(scored=True).layers
    scores = np.random.default_rng(seed).random(planned.shape)
    masks = raiw.craft(document, {"conv": scores})
    kept, outputs = masks["conv"].numpy(), planned.group_outputs
    assert kept.sum() == planned.edges
    vertices = kept.reshape(planned.graphs, -1, outputs, kept.shape[1])
    assert (vertices == vertices[:, :, :1]).all()
    if ALGORITHMS[algorithm].regular:
        for group, edges in zip(vertices[:, :, 0], planned.group_edges, strict=True):
            assert keeps_contract(group.tolist(), edges)
        low, high = planned.degree_range("in")
        assert all(low <= degree <= high for degree in masks["conv"].in_degrees())
    assert raiw.verify(masks, document, {"conv": scores}).ok


@given(networks(), st.integers(0, 99))
@settings(max_examples=30)
def test_scores_are_added_over_the_group(document: dict, seed: int) -> None:
    """The same graph comes of a network that has one output for each group, and the sums."""
    document["craft"]["algorithm"] = "raiw"
    (planned,) = Spec.parse(document).plan(scored=True).layers
    outputs = planned.group_outputs
    scores = np.random.default_rng(seed).integers(0, 9, planned.shape).astype(np.float32)
    layer = document["layers"][0] | {"out_channels": planned.shape[0] // outputs}
    summed = {"layers": [layer], "craft": {"edges": planned.edges // outputs}}
    small = raiw.craft(summed, {"conv": scores.reshape(-1, outputs, scores.shape[1]).sum(1)})
    large = raiw.craft(document, {"conv": scores})
    assert (np.repeat(small["conv"].numpy(), outputs, axis=0) == large["conv"].numpy()).all()


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_bound_holds_where_sums_over_the_group_are_rounded(outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([1e16, -1e16, 1.0, -1.5, 3.0], (2 * outputs, 2))
    layer = {"name": "fc", "kind": "linear", "in_features": 2, "out_features": 2 * outputs}
    document = {"layers": [layer], "craft": {"density": 0.5, "group_outputs": outputs}}
    mask = raiw.craft(document, {"fc": scores})["fc"]
    (a, b), (c, d) = (
        [sum(map(Fraction, column)) for column in half.T] for half in np.split(scores, 2)
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
    assert "do not share their inputs" in faults[0].faults[0]


def test_sums_that_overflow_are_refused() -> None:
    document = {"layers": LAYERS[:1], "craft": {"degree": 4, "group_outputs": 4}}
    for scores in (np.full((12, 6), 1e308), np.full((12, 6), -1e308)):
        with pytest.raises(InvalidImportance, match="sum to infinity"):
            raiw.craft(document, {"a": scores})
    scores = np.zeros((12, 6))
    scores[:4, 0] = 1e308, 1e308, -np.inf, 1e308
    assert not raiw.craft(document, {"a": scores})["a"].numpy()[:4, 0].any()
