"""Laws of the statistics, on random graphs of every kind."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse.csgraph
from hypothesis import given
from hypothesis import strategies as st

from raiw.errors import InvalidInput
from raiw.graphs import Bools, Graph
from raiw.statistics import count_paths, describe, measure
from raiw.statistics.spectrum import eigenproblem_order, laplacian_spectrum

SEEDS = st.integers(0, 2**32 - 1)


def laplacian(kept: Bools) -> np.ndarray:
    out = kept.shape[0]
    adjacency = np.zeros((sum(kept.shape),) * 2)
    adjacency[:out, out:] = kept
    adjacency += adjacency.T
    return np.diag(adjacency.sum(axis=0)) - adjacency


@st.composite
def any_graph(draw: st.DrawFn) -> Bools:
    """Sparse, dense, with constant degrees on one side or both, with empty rows and columns."""
    rng = np.random.default_rng(draw(SEEDS))
    out, n_in = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    kind = draw(st.sampled_from(["uniform", "fan-in", "circulant", "blocks"]))
    if kind == "uniform":
        return rng.random((out, n_in)) < draw(st.sampled_from([0, 0.05, 0.3, 0.8, 1]))
    kept = np.zeros((out, n_in), bool)
    if kind == "fan-in":
        degree = rng.integers(0, n_in + 1)
        for row in range(out):
            kept[row, rng.permutation(n_in)[: min(n_in, degree + row % 2)]] = True
    elif kind == "circulant":
        n_in = max(n_in, 1)
        kept = np.zeros((out * draw(st.integers(1, 3)), out), bool)
        for shift in range(rng.integers(1, out + 1)):
            kept[np.arange(len(kept)), (np.arange(len(kept)) + shift) % out] = True
    else:
        labels = rng.integers(0, 4, out), rng.integers(0, 4, n_in)
        kept = labels[0][:, None] == labels[1]
    return kept if draw(st.booleans()) else np.ascontiguousarray(kept.T)


@given(any_graph())
def test_shortcuts_are_the_full_spectrum(kept: Bools) -> None:
    expected = np.linalg.eigvalsh(laplacian(kept))
    found = laplacian_spectrum(Graph.from_bool(kept))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * max(1, expected[-1]))
    for power in (1, 2, 3):
        np.testing.assert_allclose((found**power).sum(), (expected**power).sum(), rtol=1e-12)


@given(any_graph())
def test_entropy_is_that_of_the_density_matrix(kept: Bools) -> None:
    edges = int(kept.sum())
    weights = np.linalg.eigvalsh(laplacian(kept)) / max(2 * edges, 1)
    positive = weights[weights > 1e-15]
    statistics = measure(Graph.from_bool(kept))
    assert abs(statistics.entropy + float(np.sum(positive * np.log(positive)))) <= 1e-12
    assert statistics.entropy_gap == statistics.dense_entropy - statistics.entropy


@given(any_graph())
def test_entropy_bounds(kept: Bools) -> None:
    statistics = measure(Graph.from_bool(kept))
    p, q = kept.shape
    assert statistics.entropy <= math.log(2) + math.log(p * q) / 2 + 1e-12
    assert statistics.entropy <= math.log(max(p + q - 1, 1)) + 1e-12
    assert statistics.entropy >= statistics.quadratic_entropy - 1e-12


@given(any_graph())
def test_quadratic_form_is_one_minus_the_purity(kept: Bools) -> None:
    edges = int(kept.sum())
    facts = describe(Graph.from_bool(kept))
    density_matrix = laplacian(kept) / max(2 * edges, 1)
    purity = float(np.sum(density_matrix**2)) if edges else 1.0
    assert abs(facts.quadratic_entropy - (1 - purity)) <= 1e-12


@given(any_graph(), SEEDS)
def test_relabelling_changes_nothing(kept: Bools, seed: int) -> None:
    rng = np.random.default_rng(seed)
    relabelled = kept[rng.permutation(kept.shape[0])][:, rng.permutation(kept.shape[1])]
    one, other = Graph.from_bool(kept), Graph.from_bool(relabelled)
    assert describe(one) == describe(other)
    assert abs(measure(one).entropy - measure(other).entropy) <= 1e-12


@given(any_graph())
def test_components_are_zero_eigenvalues_and_what_a_search_finds(kept: Bools) -> None:
    out = kept.shape[0]
    adjacency = np.zeros((sum(kept.shape),) * 2, int)
    adjacency[:out, out:] = kept
    expected, _ = scipy.sparse.csgraph.connected_components(adjacency, directed=False)
    graph = Graph.from_bool(kept)
    facts = describe(graph)
    assert facts.components == expected
    assert facts.components == int((laplacian_spectrum(graph) < 1e-9).sum())
    assert facts.unreached_inputs == int((~kept.any(axis=0)).sum())
    assert facts.unreached_outputs == int((~kept.any(axis=1)).sum())


@given(any_graph())
def test_expansion_is_zero_exactly_for_disconnected_graphs(kept: Bools) -> None:
    statistics = measure(Graph.from_bool(kept))
    connected = statistics.components == 1
    assert (statistics.algebraic_connectivity > 1e-9) == connected
    assert (statistics.spectral_gap > 1e-9) == connected
    if connected:
        degrees = kept.sum(axis=1), kept.sum(axis=0)
        normal = kept / np.sqrt(np.outer(*degrees))
        second = [*np.linalg.svd(normal, compute_uv=False), 0.0][1]
        assert abs(statistics.spectral_gap - (1 - second)) <= 1e-7


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), SEEDS)
def test_a_grouped_layer_is_its_block_diagonal_graph(
    groups: int, rows: int, n_in: int, seed: int
) -> None:
    kept = np.random.default_rng(seed).random((groups * rows, n_in)) < 0.5
    whole = np.zeros((groups * rows, groups * n_in), bool)
    for group in range(groups):
        own = slice(group * rows, (group + 1) * rows)
        whole[own, group * n_in : (group + 1) * n_in] = kept[own]
    grouped, plain = measure(Graph.from_bool(kept), groups), measure(Graph.from_bool(whole))
    assert abs(grouped.entropy - plain.entropy) <= 1e-12
    for fact in ("edges", "in_degree", "out_degree", "regularity", "quadratic_entropy"):
        assert getattr(grouped, fact) == getattr(plain, fact)
    assert grouped.components == plain.components
    assert grouped.unreached_inputs == plain.unreached_inputs
    full = measure(Graph.from_bool(np.ones((groups * rows, n_in), bool)), groups)
    assert abs(full.entropy - grouped.dense_entropy) <= 1e-12


@pytest.mark.parametrize("kind", ["uniform", "fan-in", "ring", "uneven"])
def test_an_estimate_covers_the_exact_entropy_at_its_stated_error(kind: str) -> None:
    rng = np.random.default_rng(5)
    kept = {
        "uniform": rng.random((200, 260)) < 0.1,
        "fan-in": np.argsort(rng.random((400, 120)), axis=1) < 6,
        "ring": sum(np.roll(np.eye(256, dtype=int), shift, axis=1) for shift in range(8)) > 0,
        "uneven": rng.random((300, 200)) < 0.4 * rng.random((300, 1)) ** 3,
    }[kind]
    graph = Graph.from_bool(kept)
    exact = measure(graph).entropy
    estimates = [measure(graph, exact_order=0, seed=seed) for seed in range(60)]
    assert {one.entropy_method for one in estimates} == {"estimate"}
    sigmas = [(one.entropy - exact) / (one.entropy_error or 0) for one in estimates]
    assert 0.5 <= float(np.mean(np.abs(sigmas) <= 1)) <= 0.9  # 0.68 of a normal law
    assert float(np.mean(np.abs(sigmas) <= 2)) >= 0.88
    assert max(map(abs, sigmas)) < 5


@given(any_graph())
def test_estimates_hold_for_any_small_graph(kept: Bools) -> None:
    exact, estimate = (measure(Graph.from_bool(kept), exact_order=k) for k in (64, 0))
    error = estimate.entropy_error or 0.0
    assert abs(exact.entropy - estimate.entropy) <= 6 * error + 1e-9
    assert estimate == measure(Graph.from_bool(kept), exact_order=0)
    for name in ("algebraic_connectivity", "spectral_gap"):
        assert abs(getattr(exact, name) - getattr(estimate, name)) <= 1e-6


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), SEEDS)
def test_paths_are_those_a_walk_counts(widths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    chain = [rng.random((out, n_in)) < 0.6 for n_in, out in pairwise(widths)]

    def walks(vertex: int, layer: int, goal: int) -> int:
        if layer == len(chain):
            return vertex == goal
        return sum(
            walks(int(nxt), layer + 1, goal) for nxt in np.flatnonzero(chain[layer][:, vertex])
        )

    counts = [walks(start, 0, end) for start in range(widths[0]) for end in range(widths[-1])]
    found = count_paths([(Graph.from_bool(kept), 1) for kept in chain])
    assert found == (min(counts), np.median(counts))


def test_paths_through_a_grouped_layer() -> None:
    grouped = Graph.from_bool(np.ones((4, 2), bool))  # two groups of 2 by 2
    mixing = Graph.from_bool(np.ones((3, 4), bool))
    assert count_paths([(grouped, 2)]) == (0.0, 0.5)
    assert count_paths([(grouped, 2), (mixing, 1)]) == (2.0, 2.0)
    with pytest.raises(InvalidInput, match="2 inputs cannot follow 3 outputs"):
        count_paths([(mixing, 1), (grouped, 1)])


def test_shortcuts_are_taken() -> None:
    rng = np.random.default_rng(0)
    fan_in = np.argsort(rng.random((60, 12)), axis=1) < 3
    graph = Graph.from_bool(fan_in)
    assert eigenproblem_order(graph.out_degrees(), graph.in_degrees()) == 24
    ring = Graph.from_bool(np.eye(12, dtype=bool) | np.roll(np.eye(12, dtype=bool), 1, axis=1))
    assert eigenproblem_order(ring.out_degrees(), ring.in_degrees()) == 12
