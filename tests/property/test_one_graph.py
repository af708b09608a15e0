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


def sides_of(spec: Spec, kept: list[np.ndarray]) -> list[list[list[int]]]:
    """Count edge by edge how many each unit has before it and behind it."""
    widths = [spec.layers[0].graph_shape[1], *(layer.graph_shape[0] for layer in spec.layers)]
    sides = [[[0, 0] for _ in range(width)] for width in widths]
    for place, table in enumerate(kept):
        inputs = table.shape[1] // widths[place]
        for out, n_in in np.argwhere(table).tolist():
            sides[place][n_in // inputs][1] += 1
            sides[place + 1][out][0] += 1
    return sides


def keeps_contract(sides: list[list[list[int]]]) -> bool:
    """Whether each unit has its share, and an edge on each side where there are enough."""
    for units in sides:
        degrees = [sum(unit) for unit in units]
        if max(degrees) - min(degrees) > 1:
            return False
        for side in zip(*units, strict=True):
            if sum(side) >= len(side) and 0 in side:
                return False
    return True


def first_pass(spec: Spec, scores: Scores) -> tuple[list[np.ndarray], int]:
    """Take edges by score as the text says; return what is kept, and how many are missing."""
    plan = spec.plan(scored=True).layers
    kept = [np.full(one.shape, one.dense) for one in plan]
    left = [0 if one.dense else one.edges for one in plan]
    sides = sides_of(spec, [np.zeros(one.shape, bool) for one in plan])
    sums = [*itertools.pairwise([0, *left, 0])]
    edges = []
    for place, one in enumerate(plan):
        if not one.dense:
            keys = edge_keys(np.arange(one.cells), Stream(spec.craft.seed, one.name, 0))
            own = zip((-scores[one.name]).ravel().tolist(), keys.tolist(), strict=True)
            edges += [(score, key, place, at) for at, (score, key) in enumerate(own)]

    def room(level: int, unit: int, side: int) -> bool:
        """Whether a side may have one more, and its unit one for a side that needs one then."""
        units = sides[level]
        floor, spare = divmod(sum(sums[level]), len(units))
        needs = [min(1, total // len(units)) for total in sums[level]]

        def wanted(at: int, more: int = 0) -> int:
            own = [*units[at]]
            own[side] += more
            return sum(max(have, need) for have, need in zip(own, needs, strict=True))

        above = sum(wanted(at) > floor for at in range(len(units)))
        return wanted(unit, 1) <= max(floor, wanted(unit)) or (
            wanted(unit) == floor and above < spare
        )

    for score, _, place, at in sorted(edges):
        out, n_in = divmod(at, plan[place].shape[1])
        before = n_in * len(sides[place]) // plan[place].shape[1]
        if left[place] and score < np.inf and room(place, before, 1) and room(place + 1, out, 0):
            kept[place][out, n_in] = True
            left[place] -= 1
            sides[place][before][1] += 1
            sides[place + 1][out][0] += 1
    return kept, sum(left)


@given(networks())
@settings(max_examples=150)
def test_every_layer_has_its_edges_and_every_unit_its_share(network: tuple[Spec, Scores]) -> None:
    spec, scores = network
    masks = raiw.craft(spec, scores)
    planned = spec.plan(scored=True)
    assert [mask.edges for mask in masks.values()] == [one.edges for one in planned.layers]
    assert keeps_contract(sides_of(spec, [mask.numpy() for mask in masks.values()]))
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
    nodes = itertools.count(2)
    source, sink = 0, 1

    def arc(one: int, other: int, capacity: int, level: int) -> None:
        joint = (one, other) if level % 2 == 0 else (other, one)
        arcs[joint] = arcs.get(joint, 0) + capacity

    sides = []
    for level, width in enumerate(widths):
        totals = [0, *sums, 0][level : level + 2]
        floor, spare = divmod(sum(totals), width)
        needs = [min(1, total // width) for total in totals]
        end, tokens = level % 2, next(nodes)
        arc(end, tokens, spare, level)
        sides.append([[next(nodes), next(nodes)] for _ in range(width)])
        for unit in sides[-1]:
            shared = next(nodes)
            arc(end, shared, floor - sum(needs), level)
            arc(tokens, shared, 1, level)
            for side, need in zip(unit, needs, strict=True):
                arc(end, side, need, level)
                arc(shared, side, sum(sums), level)
    for level, one in enumerate(plan):
        inputs = one.shape[1] // widths[level]
        for out, n_in in [] if one.dense else np.argwhere(np.isfinite(scores[one.name])).tolist():
            arc(sides[level][n_in // inputs][1], sides[level + 1][out][0], 1, level)
    size = next(nodes)
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
    """Three edges cannot reach four units; four do, whatever their scores."""
    scores = {"fc0": np.ones((4, 4)), "fc1": np.ones((4, 4))}
    scores["fc0"][2:], scores["fc1"][:, :2] = 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not raiw.craft(spec_of([(4, 4), (4, 4)], edges=4), scores).dead_units
    spec = spec_of([(4, 4), (4, 4)], edges=3)
    with pytest.warns(UserWarning, match=r"fc0 \(. of 4 outputs .* fc1 .*of 4 inputs"):
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
    sound = keeps_contract(sides_of(spec, [mask.numpy() for mask in moved]))
    report = raiw.verify(MaskSet(moved, masks.origin), spec)
    contract = next(check for check in report.checks if check.name == "contract")
    assert contract.ok is sound


def test_verification_finds_units_with_edges_on_one_side_only() -> None:
    """One unit is read twice and reads nothing, the other the other way round."""
    spec = spec_of([(2, 2), (2, 2)], edges=2)
    tables = {"fc0": [[1, 1], [0, 0]], "fc1": [[0, 1], [0, 1]]}
    masks = raiw.craft(spec, {name: np.ones((2, 2)) for name in tables})
    graphs = {
        name: raiw.graphs.Graph.from_bool(np.array(kept, bool)) for name, kept in tables.items()
    }
    blocked = MaskSet(
        [
            replace(mask, graph=graphs[name], facts=raiw.statistics.describe(graphs[name], 1))
            for name, mask in masks.items()
        ],
        masks.origin,
    )
    faults = raiw.verify(blocked, spec).faults
    assert "1 of the outputs of layer 'fc0' have no input edge" in faults


@pytest.mark.parametrize(
    ("layers", "craft", "pointer", "words"),
    [
        ([(8, 4), (8, 6)], {}, "/layers/1", "'fc1' has 6 inputs, and 'fc0' before it 8 outputs"),
        (
            [(8, 4), (4, 8)],
            {"group_outputs": 2},
            "/layers/0",
            "groups, of channels, outputs or inputs",
        ),
        ([(8, 4), (4, 8)], {"group_inputs": 2}, "/layers/0", "channels, outputs or inputs"),
        ([(4097, 512), (512, 4097)], {}, "/craft/algorithm", "4194304: use algorithm 'raiw'"),
        ([(8, 4), (4, 8)], {"min_fan_in": 1}, "/craft/min_fan_in", "promises an output 0"),
    ],
)
def test_what_is_no_chain_is_refused(layers, craft, pointer, words) -> None:
    with pytest.raises((InvalidSpec, TooLarge), match=words) as found:
        spec_of(layers, density=0.1, **craft)
    assert found.value.pointer == pointer
