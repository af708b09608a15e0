"""Budgets by scores and weights: exact totals, and the choice they promise."""

import math
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import raiw
from raiw.budgets.afie import afie_score
from raiw.cli.app import run
from raiw.errors import (
    ImpossibleTarget,
    Infeasible,
    InvalidImportance,
    InvalidInput,
    InvalidMasks,
    InvalidSpec,
    RaiwError,
)
from raiw.masks.channels import ChannelMasks
from tests.reference.scores import FINITE, KINDS


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Layers and scores: grouped convolutions and linear layers."""
    layers, scores = [], {}
    for index in range(draw(st.integers(1, 4))):
        groups = draw(st.integers(1, 2))
        layer = {
            "name": f"layer{index}",
            "kind": "conv2d",
            "in_channels": groups * draw(st.integers(1, 6)),
            "out_channels": groups * draw(st.integers(1, 6)),
            "kernel_size": draw(st.sampled_from([1, 1, 2])),
            "groups": groups,
        }
        layers.append(layer)
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        kind = draw(st.sampled_from([kind for kind in FINITE if kind != "huge"]))
        shape = layer["out_channels"], layer["in_channels"] // groups
        scores[layer["name"]] = KINDS[kind](rng, *shape)
    return layers, scores


@given(networks(), st.floats(0, 1))
@settings(max_examples=100)
def test_global_magnitude_keeps_the_best_of_the_network(network: tuple, density: float) -> None:
    layers, scores = network
    document = {"layers": layers, "craft": {"algorithm": "magnitude", "density": density}}
    shared = raiw.budget(document, scores, "global")
    masks = raiw.craft(shared, scores)
    ranked = sorted(
        (-scores[layer["name"]][cell], place, cell, layer["kernel_size"] ** 2)
        for place, layer in enumerate(layers)
        for cell in np.ndindex(scores[layer["name"]].shape)
    )
    total = sum(taps for *_, taps in ranked)
    left = math.floor(Fraction(density) * total + Fraction(1, 2))
    expected = {layer["name"]: set() for layer in layers}
    for _, place, cell, taps in ranked:
        left -= taps
        if left < 0:
            break
        expected[layers[place]["name"]].add(cell)
    for name, cells in expected.items():  # which of equal ones is drawn at random
        kept = sorted(scores[name][masks[name].numpy()].tolist())
        assert kept == sorted(float(scores[name][cell]) for cell in cells)


@given(networks(), st.floats(0.02, 1), st.sampled_from(["score", "afie"]))
@settings(max_examples=100)
def test_the_total_is_that_of_the_spec(network: tuple, density: float, method: str) -> None:
    layers, scores = network
    assume(method != "score" or any((values > 0).any() for values in scores.values()))
    tensors = {
        layer["name"]: np.repeat(
            scores[layer["name"]][..., np.newaxis], layer["kernel_size"] ** 2, 2
        ).reshape(*scores[layer["name"]].shape, layer["kernel_size"], layer["kernel_size"])
        for layer in layers
    }
    dense = raiw.Spec.parse({"layers": layers, "craft": {"density": 1.0}}).plan()
    spec = raiw.Spec.parse({"layers": layers, "craft": {"density": density, "seed": 3}})
    shared = raiw.budget(spec, tensors, method)
    weights = shared.plan().weights
    target = math.floor(Fraction(density) * dense.weights + Fraction(1, 2))
    assert target - max(layer.layer.taps for layer in dense.layers) < weights <= target
    assert shared.craft.seed == 3
    assert raiw.Spec.parse(shared.canonical()) == shared


LAYERS = [
    {"name": "a", "kind": "linear", "in_features": 40, "out_features": 50},
    {"name": "b", "kind": "linear", "in_features": 50, "out_features": 20},
    {"name": "head", "kind": "linear", "in_features": 20, "out_features": 10},
]
HEAD = [{"match": "head", "dense": True}]


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        layer["name"]: rng.normal(size=(layer["out_features"], layer["in_features"]))
        for layer in LAYERS
    }


def test_layers_of_larger_scores_are_denser() -> None:
    scores = {"a": np.full((50, 40), 1.0), "b": np.full((20, 50), 3.0)}
    craft = {"parameters": 1200, "rules": HEAD}
    plan = raiw.budget({"layers": LAYERS, "craft": craft}, scores, "score").plan()
    assert [layer.edges for layer in plan.layers] == [400, 600, 200]


def test_afie_follows_its_equation() -> None:
    weights = tensors()
    craft = {"density": 0.4, "rules": HEAD}
    plan = raiw.budget({"layers": LAYERS, "craft": craft}, weights, "afie", layers="all").plan()
    lost = [1 - layer.density for layer in plan.layers[:2]]
    scores = [afie_score(weights[name]) for name in "ab"]
    assert lost[0] * scores[0] == pytest.approx(lost[1] * scores[1], rel=1e-3)
    assert plan.weights == 200 + 1200


CONV = {"name": "conv", "kind": "conv2d", "in_channels": 3, "out_channels": 8, "kernel_size": 3}
FC = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 20}


def test_afie_prunes_convolutions_and_rules_still_win() -> None:
    """As prune and reproduce do: a linear layer is none of the paper's."""
    wide = CONV | {"name": "wide", "in_channels": 8, "out_channels": 16}
    layers = [CONV, wide, FC, FC | {"name": "head"}]
    rng = np.random.default_rng(0)
    weights = {
        one["name"]: rng.normal(size=(one["out_channels"], one["in_channels"], 3, 3))
        for one in (CONV, wide)
    } | {name: rng.normal(size=(20, 8)) for name in ("fc", "head")}
    document = {
        "layers": layers, "craft": {"density": 0.5, "rules": [{"match": "head", "edges": 40}]}
    }  # fmt: skip
    conv, other, fc, head = raiw.budget(document, weights, "afie").plan().layers
    assert (fc.edges, head.edges) == (160, 40)
    assert conv.edges + other.edges == (24 + 128) // 2
    scores = [afie_score(weights[name]) for name in ("conv", "wide")]
    lost = (1 - conv.density) * scores[0], (1 - other.density) * scores[1]
    assert lost[0] == pytest.approx(lost[1], rel=0.05)
    every = raiw.budget(document, weights, "afie", layers="all").plan().layers
    assert every[2].edges < 160
    assert every[3].edges == 40


@pytest.mark.parametrize(
    ("change", "method", "error", "words"),
    [
        ({}, "afi", InvalidInput, "did you mean 'afie'"),
        ({"craft": {"degree": 2}}, "score", InvalidSpec, "density, parameters or flops"),
        ({"craft": {"parameters": 1 << 20}}, "score", ImpossibleTarget, "nearest feasible"),
        ({"layers": [CONV], "craft": {"density": 0.001}}, "afie", ImpossibleTarget, "keeps 1 %"),
        ({}, "afie", InvalidInput, "no convolution shares .* layers='all'"),
        ({"layers": [CONV, FC], "craft": {"parameters": 99}}, "afie", ImpossibleTarget, "rules"),
        (
            {"craft": {"density": 0.5, "algorithm": "nm", "m": 10}},
            "score",
            ImpossibleTarget,
            "nearest",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(
    change: dict, method: str, error: type[RaiwError], words: str
) -> None:
    given = tensors() | {"conv": np.random.default_rng(0).normal(size=(8, 3, 3, 3))}
    with pytest.raises(error, match=words):
        raiw.budget({"layers": LAYERS, "craft": {"density": 0.5}} | change, given, method)


def test_nothing_positive_is_nothing_to_share_by() -> None:
    scores = {name: -np.abs(table) for name, table in tensors().items()}
    with pytest.raises(InvalidInput, match="no score is positive"):
        raiw.budget({"layers": LAYERS, "craft": {"density": 0.5}}, scores, "score")


def test_forbidden_edges_leave_too_few() -> None:
    scores = tensors() | {"a": np.full((50, 40), -np.inf)}
    with pytest.raises(Infeasible, match="only 1200 have a score"):
        raiw.budget({"layers": LAYERS, "craft": {"density": 0.5}}, scores, "global")


def test_afie_wants_weights() -> None:
    layer = {
        "name": "c", "kind": "conv2d", "in_channels": 4, "out_channels": 4, "kernel_size": 3
    }  # fmt: skip
    with pytest.raises(InvalidImportance, match=r"weights have the shape \(4, 4, 3, 3\)"):
        raiw.budget({"layers": [layer], "craft": {"density": 0.5}}, {"c": np.eye(4)}, "afie")


def test_the_command_prints_the_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(tensors(), tmp_path / "w.safetensors")
    document = {"layers": LAYERS, "craft": {"density": 0.3}}
    (tmp_path / "in.yaml").write_text(yaml.safe_dump(document))
    arguments = ["budget", str(tmp_path / "in.yaml"), "-m", "afie", "--layers", "all"]
    arguments += ["-i", str(tmp_path / "w.safetensors")]
    assert run(arguments) == 0
    expected = raiw.budget(document, tensors(), "afie", layers="all")
    assert raiw.Spec.parse(yaml.safe_load(capsys.readouterr().out)) == expected
    assert run([*arguments, "-o", str(tmp_path / "out.yaml")]) == 0
    assert raiw.Spec.load(tmp_path / "out.yaml") == expected
    assert run([*arguments[:3], "none", *arguments[4:]]) != 0
    assert run([*arguments[:3], "score", *arguments[4:]]) != 0


@pytest.mark.parametrize("method", ["score", "global", "afie"])
def test_operations_are_shared_too(method: str) -> None:
    layers = [layer | {"positions": p} for layer, p in zip(LAYERS, (9, 3, 1), strict=True)]
    document = {"layers": layers, "craft": {"flops": 20_000, "rules": HEAD}}
    which = {"layers": "all"} if method == "afie" else {}
    flops = raiw.budget(document, tensors(), method, **which).plan().flops
    assert flops is not None
    assert 20_000 - 2 * 9 < flops <= 20_000


@given(st.lists(st.integers(1, 16), min_size=2, max_size=4), st.floats(0.05, 0.3))
@settings(max_examples=50)
def test_channels_share_in_proportion_to_the_filters_left(kept: list[int], density: float) -> None:
    """Layers of one size, none of them full: edges are as the filters, one edge apart at most."""
    layers = [
        {"name": f"fc{i}", "kind": "linear", "in_features": 20, "out_features": 16}
        for i in range(len(kept))
    ]
    filters = {f"fc{i}": np.arange(16) < k for i, k in enumerate(kept)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "channels.safetensors"
        ChannelMasks(filters, "l1_filter", {}, {}).save(file)
        shared = raiw.budget({"layers": layers, "craft": {"density": density}}, file, "channels")
    edges = [layer.edges for layer in shared.plan().layers]
    total = math.floor(Fraction(density) * 320 * len(kept) + Fraction(1, 2))
    assert sum(edges) == total
    shares = [total * k / sum(kept) for k in kept]
    if max(shares) <= 320:
        assert all(abs(n - share) <= 1 for n, share in zip(edges, shares, strict=True))


def test_channels_must_be_those_of_the_network(tmp_path: Path) -> None:
    layers = [{"name": "fc", "kind": "linear", "in_features": 4, "out_features": 4}]
    spec = {"layers": layers, "craft": {"density": 0.5}}
    file = tmp_path / "channels.safetensors"
    ChannelMasks({"conv9": np.ones(4, np.bool_)}, "l1_filter", {}, {}).save(file)
    with pytest.raises(InvalidInput, match="conv9"):
        raiw.budget(spec, file, "channels")
    with pytest.raises(InvalidInput, match="file of channel masks"):
        raiw.budget(spec, {"fc": np.ones((4, 4))}, "channels")
    save_file({"fc": np.ones((4, 4))}, file)
    with pytest.raises(InvalidMasks):
        raiw.budget(spec, file, "channels")
