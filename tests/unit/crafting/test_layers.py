"""Crafting single layers: kept scores, dense layers, messages, streams."""

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.crafting.layer import craft_layer
from raiw.crafting.randomness import Stream
from raiw.errors import Infeasible
from raiw.graphs import Graph
from raiw.kernels.exact import kept_score
from raiw.specs.layers import Linear
from raiw.specs.planned import PlannedLayer
from tests.reference.crafting import Philox


def linear(out, n_in, edges, name="fc"):
    layer = Linear(name=name, kind="linear", in_features=n_in, out_features=out)
    return PlannedLayer(layer, edges, "/craft/edges")


def test_the_most_important_edges_are_kept():
    scores = np.array([[9.0, 8.0, 1.0], [7.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    crafted = craft_layer(linear(3, 3, 3), "raiw", 0, scores)
    assert crafted.graph.to_bool().tolist() == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert kept_score(crafted.graph, scores) == 17.0
    assert crafted.completed == 0


def test_a_stalled_greedy_is_completed_by_the_best_swap():
    scores = np.array([[9.0, 8.0, 0.0], [8.0, 9.0, 0.0], [1.0, 2.0, -5.0]])
    crafted = craft_layer(linear(3, 3, 6), "raiw", 0, scores)
    assert crafted.completed == 1
    assert crafted.graph.out_degrees().tolist() == [2, 2, 2]
    assert crafted.graph.in_degrees().tolist() == [2, 2, 2]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_form_of_the_scores_changes_nothing(dtype, order):
    scores = np.random.default_rng(0).integers(0, 50, (20, 30))
    plain = craft_layer(linear(20, 30, 100), "raiw", 0, scores.astype("float32"))
    other = craft_layer(linear(20, 30, 100), "raiw", 0, scores.astype(dtype, order=order))
    assert np.array_equal(plain.graph.bits, other.graph.bits)


def test_kept_score_is_exact():
    scores = np.random.default_rng(1).normal(size=(70, 90)) * 10.0 ** np.arange(90)
    graph = Graph.from_bool(np.random.default_rng(2).random((70, 90)) < 0.5)
    exact = sum(map(Fraction, scores[graph.to_bool()].tolist()))
    assert kept_score(graph, scores) == float(exact)


@pytest.mark.parametrize("scores", [[[1.7e308, 1.7e308]], [[-math.inf, 1.0]]])
def test_kept_score_is_none_where_the_sum_is_not_finite(scores):
    assert kept_score(Graph.from_bool(np.ones((1, 2), bool)), np.array(scores)) is None


def test_a_dense_layer_needs_no_scores():
    crafted = craft_layer(linear(3, 11, 33), "raiw", 0, None)
    assert crafted.graph.edges == 33


def test_infeasible_names_layer_and_missing_edges():
    scores = np.array([[1.0, -np.inf], [1.0, -np.inf]])
    with pytest.raises(Infeasible, match=r"layer 'fc': 1 of 2 edges .* -inf") as caught:
        craft_layer(linear(2, 2, 2), "raiw", 0, scores)
    assert caught.value.details == {"layer": "fc", "missing": 1}


def test_every_layer_and_group_draws_from_its_own_stream():
    graphs = {
        craft_layer(linear(30, 30, 90, name), "regular", seed, None).graph.bits.tobytes()
        for name in ("a", "b")
        for seed in (0, 1)
    }
    assert len(graphs) == 4


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        (0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**128 - 1, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            0x0370734413198A2E85A308D3243F6A88,
            0x299F31D0A4093822,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, words):
    assert [f"{word:08x}" for word in Philox(key).block(counter)] == words.split()


@pytest.mark.parametrize("name", ["regular", "random"])
def test_every_cell_is_equally_likely(name):
    runs, shape, edges = 4000, (6, 8), 12
    kept = np.zeros(shape)
    for seed in range(runs):
        stream = Stream(seed, "fc", 0)
        kept += ALGORITHMS[name].load()(shape, edges, scores=None, stream=stream).graph.to_bool()
    p = edges / 48
    assert np.abs(kept / runs - p).max() < 4.5 * math.sqrt(p * (1 - p) / runs)


def test_a_process_without_a_home_or_writable_install_crafts(tmp_path):
    program = (
        "from raiw.crafting.algorithms.regular import build;"
        "from raiw.crafting.randomness import Stream;"
        "print(build((8, 8), 16, scores=None, stream=Stream(0, 'a', 0)).graph.edges)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(tmp_path / "absent"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "16\n"


@pytest.mark.parametrize("algorithm", ["raiw", "balanced", "magnitude", "constant_fan_in", "nm"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_equal_scores_give_a_connected_graph_of_unequal_rows(algorithm, dtype):
    """Ties by index gave blocks along the diagonal, one below the other."""
    layer = {"name": "fc", "kind": "linear", "in_features": 512, "out_features": 512}
    spec = {"layers": [layer], "craft": {"algorithm": algorithm, "density": 0.25}}
    masks = raiw.craft(spec, {"fc": np.zeros((512, 512), dtype)})
    assert masks["fc"].facts.components == 1
    assert len(np.unique(masks["fc"].numpy(), axis=0)) == 512
    assert masks["fc"].tied == 512 * 128
    seeded = spec | {"craft": spec["craft"] | {"seed": 1}}
    assert raiw.craft(seeded, {"fc": np.zeros((512, 512), dtype)}) != masks


def test_a_graph_of_equal_scores_is_as_good_as_a_random_regular_one():
    layer = {"name": "fc", "kind": "linear", "in_features": 128, "out_features": 192}
    spec = {"layers": [layer], "craft": {"degree": 12}}
    tied, drawn = raiw.craft(spec, {"fc": np.ones((192, 128))})["fc"], raiw.craft(spec)["fc"]
    assert tied.stats.entropy == pytest.approx(drawn.stats.entropy, abs=1e-4)
    assert tied.stats.algebraic_connectivity == pytest.approx(
        drawn.stats.algebraic_connectivity, rel=0.1
    )


@pytest.mark.parametrize("share", [0.05, 0.2, 0.8])
def test_a_draw_is_noted_where_it_decided_most_edges(share):
    rng = np.random.default_rng(0)
    scores = np.where(rng.random((64, 64)) < share, rng.random((64, 64)), 0.0)
    layer = {"name": "fc", "kind": "linear", "in_features": 64, "out_features": 64}
    masks = raiw.craft({"layers": [layer], "craft": {"density": 0.3}}, {"fc": scores})
    zeros = int((scores[masks["fc"].numpy()] == 0).sum())
    assert masks["fc"].tied == (zeros if share == 0.05 else 0)
    loaded = raiw.load(masks.to_bytes())
    assert loaded["fc"].tied == masks["fc"].tied
    assert loaded.to_bytes() == masks.to_bytes()
    assert raiw.verify(loaded, importance={"fc": scores}).ok


@pytest.mark.parametrize("name", ["fc", "fc.weight"])
@pytest.mark.parametrize("target", [{"density": 1.0}, {"degree": 1, "rules": [
    {"match": "fc", "dense": True}]}])  # fmt: skip
def test_an_edge_that_may_never_be_kept_is_not_kept_by_a_dense_layer(name, target):
    layer = {"name": "fc", "kind": "linear", "in_features": 4, "out_features": 4}
    scores = np.ones((4, 4))
    scores[1, 2] = -np.inf
    with pytest.raises(Infeasible, match=r"layer 'fc': .* 1 values of tensor .* are -inf"):
        raiw.craft({"layers": [layer], "craft": target}, {name: scores})
