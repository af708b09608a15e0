"""Which layers a rule decides, whatever the globs and however many there are."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiw.algorithms import Contract
from raiw.errors import TooLarge
from raiw.specs import matching
from raiw.specs.contracts import is_reachable, reachable_edges
from raiw.specs.crafting import Rule
from raiw.specs.layers import Conv, Linear
from raiw.specs.matching import LayerNames
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.specs.targets import deciding_rules

NAMES = st.lists(st.text("ab.", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)
GLOB = st.text("ab.*?[]!-", min_size=1, max_size=7)


@given(NAMES, st.lists(GLOB, max_size=5))
def test_globs_name_what_fnmatch_says(names: list[str], globs: list[str]) -> None:
    table = LayerNames(names)
    for glob in globs:
        expected = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, glob)]
        assert table.matching(glob) == expected


@given(NAMES, st.data())
def test_the_last_rule_for_a_layer_decides(names: list[str], data: st.DataObject) -> None:
    layers = [Linear.model_construct(name=name, kind="linear") for name in names]
    pieces = st.sampled_from(names) | st.sampled_from(["*", *(f"{name[0]}*" for name in names)])
    kinds = st.sampled_from(
        [
            {"degree": 1},
            {"group_outputs": 2},
            {"degree": 1, "group_outputs": 3},
            {"group_inputs": 2},
            {"group_inputs": 2, "group_outputs": 3},
        ]
    )
    drawn = data.draw(st.lists(st.tuples(pieces, kinds), max_size=8))
    rules = [Rule(match=glob, **kind) for glob, kind in drawn]
    for layer, found in zip(layers, deciding_rules(layers, rules), strict=True):
        mine = [i for i, rule in enumerate(rules) if fnmatch.fnmatchcase(layer.name, rule.match)]
        assert found.target == max((i for i in mine if rules[i].has_target), default=None)
        assert found.group_outputs == max((i for i in mine if rules[i].group_outputs), default=None)
        assert found.group_inputs == max((i for i in mine if rules[i].group_inputs), default=None)


def test_globs_are_refused_when_they_need_too_many_comparisons(monkeypatch) -> None:
    monkeypatch.setattr(matching, "MAX_COMPARISONS", 1000)
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 1, "out_features": 1} for i in range(99)
    ]

    def spec(rules: int) -> Spec:
        told = [{"match": f"{'?' * (i % 2)}*[0-9{i}]", "degree": 1} for i in range(rules)]
        return Spec.parse({"layers": layers, "craft": {"degree": 1, "rules": told}})

    assert spec(5).plan().edges == 99
    with pytest.raises(TooLarge, match="1000") as caught:
        spec(6)
    assert caught.value.pointer == "/craft/rules"


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 8), st.data())
def test_group_edges_are_what_their_range_says(
    groups: int, out: int, n_in: int, data: st.DataObject
) -> None:
    sides = {"in_channels": groups * n_in, "out_channels": groups * out}
    layer = Conv(name="c", kind="conv1d", kernel_size=1, groups=groups, **sides)
    outputs = data.draw(st.sampled_from([q for q in range(1, out + 1) if out % q == 0]))
    edges = outputs * data.draw(st.integers(0, groups * n_in * out // outputs))
    for algorithm in ("regular", "magnitude"):
        planned = PlannedLayer(layer, edges, "", outputs, algorithm=algorithm)
        each = planned.group_edges
        assert planned.group_edges_range == (min(each), max(each))


def test_the_plan_of_sixteen_million_groups_is_made_without_them() -> None:
    side = 1 << 24
    sides = {"in_channels": side, "out_channels": side, "groups": side}
    layers = [{"name": f"c{i}", "kind": "conv2d", "kernel_size": 1, **sides} for i in range(1000)]
    plan = Spec.parse({"layers": layers, "craft": {"density": 0.5}}).plan()
    assert plan.edges == 1000 * side // 2
    assert plan.layers[0].to_json()["out_degree"] == [0, 1]


@given(st.sampled_from(list(Contract)), st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_reachable_numbers_of_edges_are_told_without_a_list(
    contract: Contract, m: int, rows: int, columns: int
) -> None:
    shape = rows * m, columns * m
    listed = reachable_edges(contract, shape, m)
    for edges in range(shape[0] * shape[1] + 1):
        assert is_reachable(contract, shape, m, edges) == (listed is None or edges in listed)
