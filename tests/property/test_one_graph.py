"""Algorithm ``network``: one graph over all layers of a chain, split into the layers' masks."""

import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

import raiw
from raiw.crafting.randomness import Stream, edge_keys
from raiw.errors import DeadUnitsFound, Infeasible, InvalidSpec, TooLarge
from raiw.masks.maskset import MaskSet
from raiw.specs.spec import Spec

pytestmark = pytest.mark.filterwarnings("ignore:.*dead units")
Scores = dict[str, np.ndarray]


def spec_of(sides: list[tuple[int, int]], **craft: Any) -> Spec:
    """A spec of linear layers ``(out, in)``."""
    layers = [
        {"name": f"fc{place}", "kind": "linear", "in_features": n_in, "out_features": out}
        for place, (out, n_in) in enumerate(sides)
    ]
    return Spec.parse({"layers": layers, "craft": {"algorithm": "network", **craft}})


@st.composite
def networks(draw: st.DrawFn) -> tuple[Spec, Scores]:
    """A chain, some of it behind flattened images or dense, with scores of which some are equal."""
    widths = draw(st.lists(st.integers(1, 9), min_size=3, max_size=6))
    sides = [
        (out, width * draw(st.sampled_from([1, 1, 2, 3])) if place else width)
        for place, (width, out) in enumerate(itertools.pairwise(widths))
    ]
    craft: dict[str, Any] = {"density": draw(st.floats(0, 1)), "seed": draw(st.integers(0, 9))}
    if draw(st.booleans()):
        craft["allocation"] = draw(st.sampled_from(["erk", "uniform", "degree"]))
    if draw(st.booleans()):
        craft["rules"] = [{"match": "fc1", "dense": True}]
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    levels = draw(st.sampled_from([1, 3, 1 << 20]))
    scores = {f"fc{n}": random.integers(0, levels, side) - 1.0 for n, side in enumerate(sides)}
    return spec_of(sides, **craft), scores


def degrees_of(spec: Spec, kept: list[np.ndarray]) -> list[list[int]]:
    """Count edge by edge how many each unit has, from the inputs to the outputs."""
    degrees = [[0] * spec.layers[0].graph_shape[1]]
    degrees += [[0] * layer.graph_shape[0] for layer in spec.layers]
    for place, table in enumerate(kept):
        inputs = table.shape[1] // len(degrees[place])
        for out, n_in in np.argwhere(table).tolist():
            degrees[place][n_in // inputs] += 1
            degrees[place + 1][out] += 1
    return degrees


def first_pass(spec: Spec, scores: Scores) -> tuple[list[np.ndarray], int]:
    """Take edges by score as the text says; return what is kept, and how many are missing."""
    plan = spec.plan(scored=True).layers
    kept = [np.full(one.shape, one.dense) for one in plan]
    sums = [0 if one.dense else one.edges for one in plan]
    degrees = degrees_of(spec, [np.zeros(one.shape, bool) for one in plan])
    means = [
        divmod(a + b, len(own)) for a, b, own in zip([0, *sums], [*sums, 0], degrees, strict=True)
    ]
    edges = []
    for place, one in enumerate(plan):
        if one.dense:
            continue
        keys = edge_keys(np.arange(one.cells), Stream(spec.craft.seed, one.name, 0))
        own = scores[one.name].ravel().tolist()
        edges += [
            (-s, key, place, at) for at, (s, key) in enumerate(zip(own, keys.tolist(), strict=True))
        ]
    for score, _, place, at in sorted(edges):
        out, n_in = divmod(at, plan[place].shape[1])
        ends = (place, n_in * len(degrees[place]) // plan[place].shape[1]), (place + 1, out)
        opened = all(
            degrees[level][unit] < floor
            or (
                degrees[level][unit] == floor
                and sum(degree > floor for degree in degrees[level]) < spare
            )
            for level, unit in ends
            for floor, spare in [means[level]]
        )
        if opened and sums[place] and score < np.inf:
            kept[place][out, n_in] = True
            sums[place] -= 1
            for level, unit in ends:
                degrees[level][unit] += 1
    return kept, sum(sums)


@given(networks())
@settings(max_examples=150)
def test_every_layer_has_its_edges_and_every_unit_its_share(network: tuple[Spec, Scores]) -> None:
    spec, scores = network
    masks = raiw.craft(spec, scores)
    planned = spec.plan(scored=True)
    assert [mask.edges for mask in masks.values()] == [one.edges for one in planned.layers]
    for degrees in degrees_of(spec, [mask.numpy() for mask in masks.values()]):
        mean = sum(degrees) / len(degrees)
        assert all(mean - 1 < degree < mean + 1 for degree in degrees)
    report = raiw.verify(masks, spec, scores)
    assert report.ok, report.faults


@given(networks())
@settings(max_examples=150)
def test_the_best_edges_are_taken_first(network: tuple[Spec, Scores]) -> None:
    spec, scores = network
    masks = raiw.craft(spec, scores)
    kept, missing = first_pass(spec, scores)
    assert (sum(mask.completed for mask in masks.values()) > 0) is (missing > 0)
    for mask, taken in zip(masks.values(), kept, strict=True):
        assert missing or np.array_equal(mask.numpy(), taken)
        assert mask.completed == np.count_nonzero(mask.numpy() & ~taken)


@given(networks(), st.floats(0, 0.7), st.integers(0, 1 << 32))
@settings(max_examples=100)
def test_forbidden_edges_leave_a_graph_or_none(
    network: tuple[Spec, Scores], share: float, seed: int
) -> None:
    """Where crafting gives up, the maximum flow says that there is no graph."""
    spec, scores = network
    random = np.random.default_rng(seed)
    plan = spec.plan(scored=True).layers
    for one in plan:
        if not one.dense:
            scores[one.name][random.random(one.shape) < share] = -np.inf
    wanted = sum(one.edges for one in plan if not one.dense)
    possible = most_edges(spec, scores)
    if possible < wanted:
        with pytest.raises(Infeasible, match=f"^{wanted - possible} edges of the network") as found:
            raiw.craft(spec, scores)
        assert found.value.details["missing"] == wanted - possible
    else:
        masks = raiw.craft(spec, scores)
        assert raiw.verify(masks, spec, scores).ok


NEVER = -np.inf


@pytest.mark.parametrize(
    ("edges", "scores"),
    [
        ([1, 1], [[[NEVER], [2]], [[1, 1], [NEVER, 2]]]),
        ([2, 2], [[[NEVER], [1], [2]], [[0, 2, NEVER], [NEVER, NEVER, 1]]]),
    ],
)
def test_units_pass_on_what_they_have_above_the_floor(edges, scores) -> None:
    """Where only that frees the last edge, on the side of either end of the path."""
    tables = [np.array(table, float) for table in scores]
    rules = [{"match": f"fc{place}", "edges": count} for place, count in enumerate(edges)]
    spec = spec_of([table.shape for table in tables], edges=0, rules=rules)
    masks = raiw.craft(spec, {f"fc{place}": table for place, table in enumerate(tables)})
    assert [mask.edges for mask in masks.values()] == edges
    assert raiw.verify(masks, spec).ok


def most_edges(spec: Spec, scores: Scores) -> int:
    """Return the most edges under the units' shares, by scipy's maximum flow."""
    plan = spec.plan(scored=True).layers
    sums = [0 if one.dense else one.edges for one in plan]
    widths = [plan[0].shape[1], *(one.shape[0] for one in plan)]
    arcs: dict[tuple[int, int], int] = {}
    source, sink, tokens = 0, 1, 2
    first = [2 + len(widths) + sum(widths[:level]) for level in range(len(widths))]

    def arc(one: int, other: int, capacity: int, level: int) -> None:
        arcs[(one, other) if level % 2 == 0 else (other, one)] = capacity

    for level, width in enumerate(widths):
        floor, spare = divmod(sum([0, *sums, 0][level : level + 2]), width)
        end = source if level % 2 == 0 else sink
        arc(end, tokens + level, spare, level)
        for unit in range(width):
            arc(end, first[level] + unit, floor, level)
            arc(tokens + level, first[level] + unit, 1, level)
    for level, one in enumerate(plan):
        inputs = one.shape[1] // widths[level]
        for out, n_in in [] if one.dense else np.argwhere(np.isfinite(scores[one.name])).tolist():
            before, behind = first[level] + n_in // inputs, first[level + 1] + out
            joint = (before, behind) if level % 2 == 0 else (behind, before)
            arcs[joint] = arcs.get(joint, 0) + 1
    size = first[-1] + widths[-1]
    rows, columns = zip(*arcs, strict=True)
    capacities = np.array(list(arcs.values()), np.int32)
    flow = maximum_flow(csr_array((capacities, (rows, columns)), shape=(size, size)), source, sink)
    return int(flow.flow_value)


@given(networks(), st.sampled_from(["float16", "float32"]))
@settings(max_examples=30)
def test_the_same_input_gives_the_same_bytes(network: tuple[Spec, Scores], form: str) -> None:
    spec, scores = network
    few = {name: np.clip(values, 0, 9).astype(form) for name, values in scores.items()}
    masks = raiw.craft(spec, few)
    again = raiw.craft(spec, few, threads=3)
    assert again.to_bytes() == masks.to_bytes() == raiw.load(masks.to_bytes()).to_bytes()
    wide = raiw.craft(spec, {name: values.astype("float64") for name, values in few.items()})
    assert wide.digest == masks.digest


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=30)
def test_a_network_of_one_layer_is_what_raiw_crafts(
    out: int, n_in: int, density: float, seed: int
) -> None:
    scores = {"fc0": np.random.default_rng(seed).random((out, n_in))}
    spec = spec_of([(out, n_in)], density=density)
    craft = spec.craft.model_copy(update={"algorithm": "raiw"})
    assert raiw.craft(spec, scores) == raiw.craft(spec.model_copy(update={"craft": craft}), scores)


def test_middle_layers_do_not_starve() -> None:
    sides = [(16, 16)] * 3
    scores = {f"fc{place}": np.random.default_rng(place).random((16, 16)) for place in range(3)}
    masks = raiw.craft(spec_of(sides, parameters=256, allocation="uniform"), scores)
    assert [mask.edges for mask in masks.values()] == [86, 85, 85]


def test_units_without_an_edge_are_told(tmp_path: Path) -> None:
    """A unit may have all its edges on one side, so that nothing flows through it."""
    scores = {"fc0": np.ones((4, 4)), "fc1": np.ones((4, 4))}
    scores["fc0"][2:], scores["fc1"][:, :2] = 0, 0
    spec = spec_of([(4, 4), (4, 4)], density=0.25)
    with pytest.warns(UserWarning, match="fc0 .2 of 4 outputs .* fc1 .2 of 4 inputs"):
        masks = raiw.craft(spec, scores)
    assert [units.layer for units in masks.dead_units] == ["fc0", "fc1"]
    with pytest.raises(DeadUnitsFound):
        raiw.craft(spec, scores, strict=True)
    masks.save(tmp_path / "masks.safetensors")
    assert raiw.load(tmp_path / "masks.safetensors").dead_units == masks.dead_units


@given(networks(), st.data())
@settings(max_examples=60)
def test_verification_finds_an_edge_that_was_moved(
    network: tuple[Spec, Scores], data: st.DataObject
) -> None:
    spec, scores = network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = raiw.craft(spec, scores)
    name = data.draw(st.sampled_from([*masks]))
    kept = masks[name].numpy()
    if kept.all() or not kept.any():
        return
    gone = data.draw(st.sampled_from(np.argwhere(kept).tolist()))
    new = data.draw(st.sampled_from(np.argwhere(~kept).tolist()))
    kept[tuple(gone)], kept[tuple(new)] = False, True
    graph = raiw.graphs.Graph.from_bool(kept)
    facts = raiw.statistics.describe(graph, 1)
    moved = [
        replace(mask, graph=graph, facts=facts) if mask.name == name else mask
        for mask in masks.values()
    ]
    tables = [mask.numpy() for mask in moved]
    even = all(max(own) - min(own) <= 1 for own in degrees_of(spec, tables))
    report = raiw.verify(MaskSet(moved, masks.origin), spec)
    contract = next(check for check in report.checks if check.name == "contract")
    assert contract.ok is even


@pytest.mark.parametrize(
    ("layers", "craft", "pointer", "words"),
    [
        ([(8, 4), (8, 6)], {}, "/layers/1", "'fc1' has 6 inputs, and 'fc0' before it 8 outputs"),
        ([(8, 4), (4, 8)], {"group_outputs": 2}, "/layers/0", "groups, of channels or of outputs"),
        ([(4097, 512), (512, 4097)], {}, "/craft/algorithm", "4194304: use algorithm 'raiw'"),
        ([(8, 4), (4, 8)], {"min_fan_in": 1}, "/craft/min_fan_in", "promises an output 0"),
    ],
)
def test_what_is_no_chain_is_refused(layers, craft, pointer, words) -> None:
    with pytest.raises((InvalidSpec, TooLarge), match=words) as found:
        spec_of(layers, density=0.1, **craft)
    assert found.value.pointer == pointer
