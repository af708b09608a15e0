import json
import tracemalloc
from pathlib import Path

import pytest

from raiw import catalogue
from raiw.errors import ImpossibleTarget, InvalidSpec, NotFound, TooLarge
from raiw.readers.documents import decode_document
from raiw.specs.rests import Rests
from raiw.specs.spec import MAX_LAYERS, Spec


def linear(name: str = "fc", n_in: int = 4, out: int = 8) -> dict:
    return {"name": name, "kind": "linear", "in_features": n_in, "out_features": out}


def conv(name: str = "conv", n_in: int = 4, out: int = 8, **more: object) -> dict:
    return {
        "name": name,
        "kind": "conv2d",
        "in_channels": n_in,
        "out_channels": out,
        "kernel_size": 3,
    } | more


def spec(*layers: dict, **craft: object) -> Spec:
    return Spec.parse({"layers": list(layers), "craft": craft})


def fault(document: object) -> tuple[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        Spec.parse(document)
    problem = caught.value.problems[0]
    return problem["pointer"], problem["detail"]


@pytest.mark.parametrize(
    ("preset", "weights"),
    [
        # RAIW, Table 4; d-32 by its printed rows, whose sum the paper misprints as 1.07M.
        ("raiw/vgg16-d32", 1_252_032),
        ("raiw/vgg16-d16", 754_368),
        ("raiw/vgg16-d8", 546_496),
    ],
)
def test_presets_keep_the_weights_of_table_4(preset: str, weights: int) -> None:
    plan = Spec.load(preset).plan()
    assert plan.weights == weights
    assert plan.dense_weights == 14_977_728


def test_every_catalogue_entry_is_a_valid_document() -> None:
    for name in catalogue.names():
        document = catalogue.read(name)
        assert document is not None
        assert Spec.parse({"model": name, "craft": {"density": 0.5}}).layers


def test_a_preset_is_filled_in_and_comes_back_from_its_canonical_form() -> None:
    preset = Spec.load("raiw/vgg16-d16")
    assert preset.name == "raiw/vgg16-d16"
    assert Spec.parse(json.loads(json.dumps(preset.canonical()))) == preset


def test_a_document_may_change_the_target_of_a_model() -> None:
    changed = Spec.parse({"model": "raiw/vgg16-d16", "craft": {"density": 1.0}})
    assert changed.plan().weights == 14_977_728


def test_yaml_json_and_toml_mean_the_same(tmp_path: Path) -> None:
    document = {"name": "n", "layers": [linear()], "craft": {"degree": 2}}
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "a.yaml").write_text(
        "name: n\nlayers:\n  - {name: fc, kind: linear, in_features: 4, out_features: 8}\n"
        "craft: {degree: 2}\n"
    )
    (tmp_path / "a.toml").write_text(
        'name = "n"\n[[layers]]\nname = "fc"\nkind = "linear"\nin_features = 4\n'
        "out_features = 8\n[craft]\ndegree = 2\n"
    )
    keys = {Spec.load(tmp_path / f"a.{form}").content_key() for form in ("json", "yaml", "toml")}
    assert len(keys) == 1


def test_degree_counts_the_edges_of_an_input_vertex() -> None:
    layer = spec(linear(n_in=6, out=9), degree=3).plan().layers[0]
    assert layer.edges == 18
    assert layer.degree_range("in") == (3, 3)
    assert layer.degree_range("out") == (2, 2)


def test_groups_are_separate_graphs_with_the_edges_split_evenly() -> None:
    layer = spec(conv(n_in=8, out=12, groups=4), edges=10).plan().layers[0]
    assert layer.shape == (12, 2)
    assert layer.group_shape == (3, 2)
    assert layer.group_edges == (3, 3, 2, 2)
    assert layer.weights == 90


def test_the_last_matching_rule_wins() -> None:
    rules = [{"match": "f*", "degree": 1}, {"match": "fc2", "dense": True}]
    first, second = spec(linear("fc1"), linear("fc2"), degree=2, rules=rules).plan().layers
    assert (first.edges, second.edges) == (4, 32)


def test_parameters_are_the_budget_of_the_whole_network() -> None:
    rules = [{"match": "head", "dense": True}]
    layers = conv("a", 16, 32), conv("b", 32, 32), linear("head", 32, 10)
    plan = spec(*layers, parameters=5000, rules=rules).plan()
    assert 5000 - 9 < plan.weights <= 5000
    densities = [layer.density for layer in plan.layers[:2]]
    assert densities[0] == pytest.approx(densities[1], abs=0.005)


def test_parameters_are_met_exactly_where_an_edge_is_one_weight() -> None:
    assert spec(linear("a", 7, 5), linear("b", 3, 11), parameters=17).plan().weights == 17


@pytest.mark.parametrize(
    ("craft", "pointer", "nearest"),
    [
        ({"degree": 9}, "/craft/degree", 8),
        ({"edges": 33}, "/craft/edges", 32),
        ({"parameters": 33}, "/craft/parameters", 32),
        ({"rules": [{"match": "*", "degree": 100}]}, "/craft/rules/0/degree", 8),
        (
            {"parameters": 3, "rules": [{"match": "*", "dense": True}]},
            "/craft/parameters",
            32,
        ),
    ],
)
def test_an_impossible_target_names_the_nearest(craft: dict, pointer: str, nearest: int) -> None:
    with pytest.raises(ImpossibleTarget, match=rf"\b{nearest}\b") as caught:
        Spec.parse({"layers": [linear()], "craft": craft})
    assert caught.value.pointer == pointer
    assert caught.value.details["nearest"] == nearest


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"layers": [linear()], "crafts": {}}, "/crafts", "craft"),
        ({"layers": [linear()], "craft": {"degree": 1, "density": 0.5}}, "/craft", "one target"),
        ({"layers": [linear()], "craft": {}}, "/craft", "no target"),
        ({"layers": [linear(), linear()], "craft": {"degree": 1}}, "/layers/1/name", "'fc'"),
        ({"layers": [linear(n_in=0)], "craft": {"degree": 1}}, "/layers/0/in_features", "1"),
        ({"layers": [], "craft": {"degree": 1}}, "/layers", "layers"),
        ({"craft": {"degree": 1}}, "/layers", "layers"),
        ({"layers": [conv(groups=3)], "craft": {"degree": 1}}, "/layers/0", "groups=3"),
        ({"layers": [conv(kernel_size=[3])], "craft": {"degree": 1}}, "/layers/0", "2"),
        (
            {"layers": [conv(kernel_size=[])], "craft": {"degree": 1}},
            "/layers/0/kernel_size",
            "at least 1",
        ),
        ({"layers": [linear()], "craft": {"algorithm": "riaw"}}, "/craft/algorithm", "'raiw'"),
        ({"layers": [linear()], "craft": {"density": 1.5}}, "/craft/density", "1"),
        ({"layers": [linear()], "craft": {"density": float("nan")}}, "/craft/density", ""),
        ({"layers": [linear()], "craft": {"degree": True}}, "/craft/degree", "a whole number, not"),
        ({"layers": [linear()], "craft": {"degree": 2.5}}, "/craft/degree", "a whole number, not"),
        ({"layers": [linear()], "craft": {"degree": 1, "seed": -1}}, "/craft/seed", "0"),
        ({"model": "vgg61"}, "/model", "vgg16"),
        ({"model": "raiw/vgg16-d16", "layers": [linear()]}, "/layers", "not both"),
        (
            {"layers": [linear()], "craft": {"degree": 1, "rules": [{"match": "x", "edges": 1}]}},
            "/craft/rules/0/match",
            "fc",
        ),
        ([], "", "must be a mapping of fields to values, not []"),
        ("text", "", "not 'text'"),
        ({"layers": 3}, "/layers", "must be a list, not 3"),
        ({"layers": [linear(n_in="x")], "craft": {"degree": 1}}, "/layers/0", "not 'x'"),
        ({"layers": [linear() | {"kind": "rnn"}]}, "/layers/0", "'kind' must be one of 'linear'"),
        ({"layers": [{"name": "fc"}]}, "/layers/0", "has no 'kind'"),
    ],
)
def test_a_fault_is_told_with_its_pointer(document: object, pointer: str, words: str) -> None:
    at, detail = fault(document)
    assert at.startswith(pointer)
    assert words in detail
    assert not {"Input", "Value error", "valid"} & {*detail.split()}


def test_too_many_layers_are_refused_with_the_limit() -> None:
    layers = [linear(f"fc{i}") for i in range(MAX_LAYERS + 1)]
    with pytest.raises(TooLarge, match=str(MAX_LAYERS)):
        Spec.parse({"layers": layers, "craft": {"degree": 1}})


def test_a_layer_of_two_to_the_31_edges_is_refused() -> None:
    with pytest.raises(TooLarge, match=str(2**31)):
        spec(linear(n_in=65_536, out=65_536), degree=32_768)
    assert spec(linear(n_in=65_536, out=65_536), edges=2**31 - 1).plan().edges == 2**31 - 1


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "{", "a: [", "\x00", "&a [*a, *b]", "!!python/object:os.system x"],
)
def test_a_document_that_cannot_be_read_is_an_invalid_spec(text: str) -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.yaml"):
        decode_document(text.encode(), "spec.yaml")


def test_a_missing_file_names_the_nearest_catalogue_entry() -> None:
    with pytest.raises(NotFound, match="raiw/vgg16-d16"):
        Spec.load("raiw/vgg16-d61")


def test_raiw_without_scores_is_refused_and_left_out_it_is_chosen_by_them() -> None:
    undecided = spec(linear(), degree=1)
    assert undecided.algorithm(scored=True) == "raiw"
    assert undecided.algorithm(scored=False) == "regular"
    with pytest.raises(InvalidSpec, match="importance"):
        spec(linear(), degree=1, algorithm="raiw").plan(scored=False)


def test_the_content_key_changes_with_all_that_changes_the_bits_and_stays_otherwise() -> None:
    base = spec(linear(), degree=2)
    scores = "sha256:" + "0" * 64
    keys = {
        base.content_key(),
        base.content_key(scores),
        spec(linear(), degree=2, seed=1).content_key(),
        spec(linear(), degree=3).content_key(),
        spec(linear(out=9), degree=2).content_key(),
    }
    assert len(keys) == 5
    assert spec(linear(), degree=2, seed=0).content_key() == base.content_key()


def test_dense_keeps_every_edge_whatever_the_rules_say() -> None:
    rules = [{"match": "b", "degree": 2}]
    plan = spec(linear("a"), linear("b"), algorithm="dense", degree=1, rules=rules).plan()
    assert plan.weights == plan.dense_weights == 64


NM = {"algorithm": "nm", "n": 2}


@pytest.mark.parametrize(
    ("layer", "craft", "pointer", "words"),
    [
        (linear(n_in=6), NM, "/craft/m", "m=4 does not divide its 6 inputs"),
        (linear(out=6), NM | {"algorithm": "transposable_nm"}, "/craft/m", "its 6 outputs"),
        (linear(), NM | {"n": 5}, "/craft", "the most is n=4"),
        (linear(), {"density": 0.5, "rules": [{"match": "*", "n": 5}]}, "/craft", "n=5 of each"),
        (linear(), {"n": 2}, "/craft/n", "give density 0.5"),
        (linear(), NM | {"m": 33}, "/craft/m", "32"),
        (linear(), NM | {"density": 0.5}, "/craft", "one target"),
        (linear(), {"degree": 2, "allocation": "erk"}, "/craft", "density, parameters or flops"),
        (linear(), {"density": 0.5, "allocation": "er"}, "/craft/allocation", "'erk'"),
    ],
)
def test_targets_that_make_no_sense_together(
    layer: dict, craft: dict, pointer: str, words: str
) -> None:
    at, detail = fault({"layers": [layer], "craft": craft})
    assert at == pointer
    assert words in detail


@pytest.mark.parametrize(
    ("craft", "words", "nearest"),
    [
        ({"algorithm": "nm", "density": 0.3}, "8 (density 0.25) and 16 (density 0.5)", 8),
        ({"algorithm": "radix", "density": 0.3}, "8 (density 0.25) and 16 (density 0.5)", 8),
        ({"algorithm": "radix", "density": 0.1}, "the nearest are 8 (density 0.25)", 8),
    ],
)
def test_edges_that_a_contract_cannot_have_name_the_nearest(
    craft: dict, words: str, nearest: int
) -> None:
    with pytest.raises(ImpossibleTarget) as caught:
        spec(linear(), **craft)
    assert words in caught.value.message
    assert caught.value.details["nearest"] == nearest


def test_n_of_m_is_a_density() -> None:
    by_n, by_density = spec(linear(), **NM).plan(), spec(linear(), algorithm="nm", density=0.5)
    assert by_n.edges == by_density.plan().edges == 16
    dense = [{"match": "odd", "dense": True}]
    assert spec(linear(), linear("odd", 3, 5), rules=dense, **NM).plan().edges == 31


def test_erk_gives_small_layers_more() -> None:
    """Densities by hand: 0.375 c, 0.1875 c and 0.75 c of 32, 128 and 8 weights, 0.25 in all."""
    layers = linear("a", 4, 8), linear("b", 8, 16), linear("c", 2, 4)
    plan = spec(*layers, density=0.25, allocation="erk").plan()
    assert plan.weights == 42
    scale = 42 / (12 + 24 + 6)
    for layer, slope in zip(plan.layers, (0.375, 0.1875, 0.75), strict=True):
        assert abs(layer.edges - scale * slope * layer.cells) < 1


def test_what_is_full_leaves_its_surplus_to_the_others() -> None:
    plan = spec(linear("a", 2, 2), linear("b", 16, 16), parameters=200, allocation="erk").plan()
    assert [layer.edges for layer in plan.layers] == [4, 196]


def test_a_degree_for_every_input_is_the_schedule_of_table_4() -> None:
    layers = linear("a", 128, 256), linear("b", 256, 256), linear("c", 256, 512)
    plan = spec(*layers, parameters=16 * (128 + 256 + 256), allocation="degree").plan()
    assert [layer.degree_range("in") for layer in plan.layers] == [(16, 16)] * 3


def test_operations_are_two_a_weight_and_position() -> None:
    layers = conv("a", 4, 8, positions=100), linear("b", 8, 4)
    plan = spec(*layers, density=0.5).plan()
    assert [layer.flops for layer in plan.layers] == [2 * 16 * 9 * 100, 2 * 16]
    assert plan.flops == 28_832
    assert spec(conv(), linear(), density=0.5).plan().flops is None


def test_operations_are_a_budget() -> None:
    """Never above, and within one edge of it."""
    layers = conv("a", 16, 32, positions=49), conv("b", 32, 32, positions=7), linear("head", 32, 10)
    rules = [{"match": "head", "dense": True}]
    plan = spec(*layers, flops=100_001, allocation="erk", rules=rules).plan()
    assert plan.flops is not None
    assert 100_001 - 2 * 9 * 7 < plan.flops <= 100_001
    assert plan.layers[2].dense


def test_operations_need_positions() -> None:
    at, detail = fault({"layers": [linear(), conv()], "craft": {"flops": 100}})
    assert at == "/craft/flops"
    assert "layer 'conv' has no positions" in detail
    at, detail = fault({"layers": [linear()], "craft": {"flops": 100}})
    assert "the nearest feasible number is 64" in detail


def test_names_that_the_catalogue_has_not_are_not_kept():
    tracemalloc.start()
    try:
        for number in range(20):
            assert catalogue.read(f"{number}" + "x" * 100_000) is None
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_same_one_of_several_ways_to_leave_nothing_is_always_taken():
    """(0, 0), (-1, 1) and (1, -1) edges do; another choice would change plans, and so masks."""
    rests = Rests(12)
    assert all(rests.spend(2, [0, -1, 1]) for _ in range(2))
    assert rests.met_by(3, 4, 4) == [1, -1, 4]


def test_brackets_within_brackets_end_at_a_hundred():
    assert decode_document(b"[" * 100 + b"]" * 100, "deep.yaml")
    with pytest.raises(InvalidSpec, match="deeper than 100 levels"):
        decode_document(b"[" * 101 + b"]" * 101, "deep.yaml")
    with pytest.raises(InvalidSpec, match="deeper than 100 levels"):
        decode_document(b"&a [*a]", "endless.yaml")
    with pytest.raises(InvalidSpec, match="maximum nesting depth"):
        decode_document(b"[" * 100_000, "deep.yaml")


def test_aliases_of_aliases_cost_what_they_take_to_write():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 60))]
    assert len(decode_document("\n".join(lines).encode(), "laughs.yaml")) == 60
