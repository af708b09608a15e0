"""Laws of the bound, of `balanced` and of `optimal`, on small graphs with hostile scores."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raiw.algorithms import ALGORITHMS
from raiw.crafting.bounds.certificate import Certificate, certify
from raiw.crafting.bounds.descent import descend
from raiw.crafting.bounds.potentials import settle
from raiw.crafting.bounds.prices import Prices, arcs_of, upper_bound
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_native
from raiw.kernels.exact import ExactSum, kept_score
from tests.reference.crafting import keeps_contract

STREAM = Stream(0, "layer", 0)


def build(algorithm: str, scores: Scores, edges: int) -> Graph:
    built = ALGORITHMS[algorithm].load()(scores.shape, edges, scores=scores, stream=STREAM)
    graph: Graph = built.graph
    return graph


KINDS = ["normal", "ties", "equal", "signed", "heavy", "low rank", "tiny", "wide", "cancelling"]


@st.composite
def instances(draw: st.DrawFn, largest: int = 14) -> tuple[Scores, int]:
    out, n_in = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    edges = draw(st.integers(0, out * n_in))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(KINDS))
    normal = rng.standard_normal((out, n_in))
    scores = {
        "normal": np.abs(normal),
        "ties": rng.integers(0, 3, (out, n_in)).astype(float),
        "equal": np.ones((out, n_in)),
        "signed": normal,
        "heavy": np.exp(2 * rng.standard_normal((out, 1)) + rng.standard_normal(n_in)),
        "low rank": rng.random((out, 1)) * rng.random(n_in),
        "tiny": np.abs(normal) * 1e-310,
        "wide": np.sign(normal) * 10 ** rng.uniform(-300, 300, (out, n_in)),
        "cancelling": rng.choice([1e16, -1e16, 1, 3], (out, n_in)),
    }[kind]
    widths = (
        [np.float64] if kind in {"wide", "cancelling"} else [np.float16, np.float32, np.float64]
    )
    return scores.astype(draw(st.sampled_from(widths))), edges


@given(instances())
@settings(max_examples=200)
def test_optimal_keeps_most_and_proves_it(instance: tuple[Scores, int]) -> None:
    scores, edges = instance
    kept = {}
    for algorithm in ("raiw", "balanced", "optimal"):
        graph = build(algorithm, scores, edges)
        assert keeps_contract(graph.to_bool().tolist(), edges)
        kept[algorithm] = kept_score(graph, scores) or 0.0
    slack = 1e-9 * float(np.abs(scores).sum())
    assert kept["raiw"] <= kept["balanced"] <= kept["optimal"] + slack
    certificate = certify(build("optimal", scores, edges), scores)
    assert certificate is not None
    assert certificate.upper_bound - certificate.kept_score <= slack + 1e-320


@given(instances())
@settings(max_examples=200)
def test_no_method_beats_a_bound(instance: tuple[Scores, int]) -> None:
    scores, edges = instance
    graphs = [build(algorithm, scores, edges) for algorithm in ("raiw", "regular", "optimal")]
    most = max(kept_score(graph, scores) or 0.0 for graph in graphs)
    for graph, tight in itertools.product(graphs, [False, True]):
        certificate = certify(graph, scores, tight=tight)
        assert certificate is not None
        assert certificate.upper_bound >= most
        assert certificate == certify(graph, scores, tight=tight)


@given(instances(), st.integers(0, 2**32 - 1))
def test_any_prices_prove_a_bound(instance: tuple[Scores, int], seed: int) -> None:
    scores, edges = instance
    rng = np.random.default_rng(seed)
    prices = Prices(*(rng.standard_normal(n) * np.abs(scores).max() for n in scores.shape))
    kept = kept_score(build("optimal", scores, edges), scores) or 0.0
    assert upper_bound(as_native(scores), edges, prices) >= kept
    native = as_native(scores)
    levels = tuple(rng.choice(scores.ravel(), n).astype(float) for n in scores.shape)
    found, _ = descend(native, edges, levels, kept, quick=bool(rng.integers(2)))
    assert upper_bound(native, edges, found) >= kept


@given(instances(largest=40), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_kept_scores_are_summed_exactly(instance: tuple[Scores, int], seed: int) -> None:
    scores, edges = instance
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:  # what one unit of a sum has no room for is left when others cancel
        scores = rng.choice([1.0, -1.0, 3 * 2.0**-70, 2.0**-45, 1e-300], scores.shape)
    kept = rng.permutation(np.arange(scores.size) < edges).reshape(scores.shape)
    total, graph = ExactSum(), Graph.from_bool(kept)
    out_levels, in_levels = total.add_kept(as_native(scores), graph.bits)
    wide = scores.astype(np.float64)
    assert total.total() == math.fsum(wide[kept])
    known = np.where(kept, wide, np.inf)
    assert np.array_equal(out_levels, known.min(axis=1))
    assert np.array_equal(in_levels, known.min(axis=0))
    prices = rng.choice(wide.ravel(), len(scores)), rng.choice(wide.ravel(), scores.shape[1])
    reduced = (wide - prices[0][:, np.newaxis]) - prices[1]
    total = ExactSum()
    total.add_reduced(as_native(scores), *prices)
    assert total.total() == math.fsum(reduced[reduced > 0])


@given(instances(largest=3))
@settings(max_examples=60)
def test_optimal_is_what_trying_every_graph_finds(instance: tuple[Scores, int]) -> None:
    scores, edges = instance
    best = -np.inf
    for chosen in itertools.combinations(range(scores.size), edges):
        kept = np.zeros(scores.size, bool)
        kept[list(chosen)] = True
        if keeps_contract(kept.reshape(scores.shape).tolist(), edges):
            best = max(best, float(scores.ravel()[kept].astype(float).sum()))
    found = kept_score(build("optimal", scores, edges), scores)
    assert found == pytest.approx(best, rel=1e-9, abs=1e-300 + 1e-9 * float(np.abs(scores).max()))


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_prices_settle_on_optimal_graphs_and_no_others(out: int, n_in: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = int(rng.integers(0, out * n_in + 1))
    scores = rng.integers(-9, 10, (out, n_in)).astype(float)
    every = Graph.from_bool(np.ones((out, n_in), bool))
    graphs = [build(algorithm, scores, edges) for algorithm in ("raiw", "regular", "optimal")]
    best = kept_score(graphs[-1], scores)
    for graph in graphs:
        start = Prices(rng.standard_normal(out), rng.standard_normal(n_in))
        prices, done = settle(start, arcs_of(every, scores), graph.among(every))
        assert done == (kept_score(graph, scores) == best)
        if done:
            assert upper_bound(scores, edges, prices) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("heavy", [False, True])
def test_gaps_on_the_families_of_the_paper(heavy: bool) -> None:
    rng = np.random.default_rng(0)
    scores = np.abs(rng.standard_normal((256, 256)))
    if heavy:
        scores *= np.exp(rng.standard_normal((256, 1)) + rng.standard_normal(256))
    gaps = [
        (certify(build(name, scores, 4096), scores) or Certificate(0, 1)).gap
        for name in ("raiw", "balanced", "optimal")
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[1] <= 0.01
    assert gaps[2] <= 1e-12


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (256, 256)])
@pytest.mark.parametrize("family", ["normal", "heavy", "rank one"])
def test_quick_bounds_are_near(family: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    scales = np.exp(rng.standard_normal((shape[0], 1))), np.exp(rng.standard_normal(shape[1]))
    scores = np.abs(rng.standard_normal(shape)) if family != "rank one" else np.ones(shape)
    if family != "normal":
        scores *= scales[0] * scales[1]
    edges = shape[0] * 16 + 7
    graph = build("raiw", scores, edges)
    quick, tight = certify(graph, scores, tight=False), certify(graph, scores)
    assert quick is not None
    assert tight is not None
    assert quick.gap is not None
    assert tight.gap is not None
    if family != "rank one":
        assert quick.gap <= 2 * tight.gap
    else:
        optimum = kept_score(build("optimal", scores, edges), scores)
        assert optimum is not None
        assert quick.upper_bound <= 1.001 * optimum


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_are_near_where_prices_are_slow_to_settle(sign: int, noise: float) -> None:
    rng = np.random.default_rng(0)
    scales = np.exp(rng.standard_normal((700, 1))), np.exp(rng.standard_normal(700))
    scores = sign * scales[0] * scales[1] + noise * rng.random((700, 700))
    optimal = certify(build("optimal", scores, 700 * 24), scores)
    greedy = certify(build("raiw", scores, 700 * 24), scores)
    assert optimal is not None
    assert greedy is not None
    assert optimal.gap is not None
    assert optimal.gap <= 1e-9
    assert greedy.upper_bound - optimal.upper_bound <= 0.02 * abs(optimal.upper_bound)


def test_optimal_prices_the_edges_it_left_out() -> None:
    rng = np.random.default_rng(1)
    scales = np.exp(rng.standard_normal((200, 1))), np.exp(rng.standard_normal(200))
    scores = scales[0] * scales[1] + 0.1 * rng.random((200, 200))
    certificate = certify(build("optimal", scores, 800), scores)
    assert certificate is not None
    assert certificate.gap <= 1e-9


def test_forbidden_edges_are_never_kept() -> None:
    rng = np.random.default_rng(0)
    scores = np.where(rng.random((20, 30)) < 0.4, -np.inf, rng.random((20, 30)))
    for algorithm in ("balanced", "optimal"):
        graph = build(algorithm, scores, 120)
        assert keeps_contract(graph.to_bool().tolist(), 120)
        assert not (graph.to_bool() & np.isneginf(scores)).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.3, -np.inf]))
@settings(max_examples=60)
def test_scores_whose_sums_overflow_are_crafted_without_a_word(seed: int, other: float) -> None:
    rng = np.random.default_rng(seed)
    largest = np.finfo(np.float64).max
    scores = largest * rng.choice([1.0, -1.0, 0.5, 0.0], (6, 9))
    scores[0, rng.integers(0, 9, 3)] = largest * other
    for algorithm in ("balanced", "optimal"):
        graph = build(algorithm, scores, 18)
        certificate = certify(graph, scores)
        kept = kept_score(graph, scores)
        assert keeps_contract(graph.to_bool().tolist(), 18)
        assert certificate is None or certificate.upper_bound >= certificate.kept_score == kept
