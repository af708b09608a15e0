"""The laws of crafting: exact edges, even degrees, one result, equal to the slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from raiw import kernels
from raiw.algorithms import ALGORITHMS
from raiw.crafting.degrees import share
from raiw.crafting.layer import craft_layer
from raiw.crafting.randomness import Stream
from raiw.errors import Infeasible
from raiw.graphs import Graph
from raiw.specs.layers import Conv
from raiw.specs.planned import PlannedLayer
from tests.reference import crafting as reference
from tests.reference.scores import FINITE, KINDS, problems

STREAM = Stream(0, "layer", 0)


def build(name, scores, edges, stream=STREAM):
    return ALGORITHMS[name].load()(scores.shape, edges, scores=scores, stream=stream)


def edge_set(graph):
    return {(int(u), int(v)) for u, v in np.argwhere(graph.to_bool())}


@settings(max_examples=600)
@given(problems(9, FINITE))
def test_raiw_equals_the_reference(problem):
    scores, edges = problem
    expected, missing = reference.algorithm_3(scores.tolist(), edges, STREAM.key)
    built = build("raiw", scores, edges)
    assert edge_set(built.graph) == expected
    assert built.completed == missing
    assert reference.keeps_contract(built.graph.to_bool().tolist(), edges)


@settings(max_examples=40)
@given(problems(40, FINITE))
def test_raiw_equals_the_reference_on_larger_graphs(problem):
    scores, edges = problem
    expected, missing = reference.algorithm_3(scores.tolist(), edges, STREAM.key)
    built = build("raiw", scores, edges)
    assert edge_set(built.graph) == expected
    assert built.completed == missing


@settings(max_examples=60)
@given(problems(150, list(KINDS)))
def test_the_greedy_pass_equals_algorithm_3_on_graphs_of_many_waves(problem):
    scores, edges = problem
    expected, _, _ = reference.greedy(scores.tolist(), edges, STREAM.key)
    bits = np.zeros((scores.shape[0], -(-scores.shape[1] // 8)), np.uint8)
    floors = np.empty(len(scores))
    kernels.greedy(scores, bits, edges, STREAM.key, floors)
    graph = Graph(scores.shape, bits)
    assert edge_set(graph) == expected
    assert np.all((scores >= floors[:, np.newaxis])[graph.to_bool()])


@settings(max_examples=100)
@given(problems(150, FINITE), st.integers(0, 2**32 - 1))
def test_floors_change_no_completion(problem, seed):
    scores, edges = problem
    rng = np.random.default_rng(seed)
    scores = rng.permutation(scores.ravel()).reshape(scores.shape)
    bits = np.zeros((scores.shape[0], -(-scores.shape[1] // 8)), np.uint8)
    floors = np.empty(len(scores))
    kernels.greedy(scores, bits, edges, STREAM.key, floors)
    completed = bits.copy()
    missing = edges - int(np.bitwise_count(bits).sum())
    assert kernels.complete(scores, completed, edges, floors) == missing
    kernels.complete(scores, bits, edges, np.full(len(scores), -np.inf))
    assert np.array_equal(completed, bits)


@settings(max_examples=60)
@given(problems(300, FINITE))
def test_raiw_keeps_the_contract(problem):
    scores, edges = problem
    built = build("raiw", scores, edges)
    assert reference.keeps_contract(built.graph.to_bool().tolist(), edges)
    assert np.array_equal(build("raiw", scores, edges).graph.bits, built.graph.bits)


@settings(max_examples=400)
@given(problems(8, ["forbidden"]))
def test_forbidden_edges_are_never_kept_and_fail_only_without_remedy(problem):
    scores, edges = problem
    expected, missing = reference.algorithm_3(scores.tolist(), edges, STREAM.key)
    if len(expected) == edges:
        built = build("raiw", scores, edges)
        assert edge_set(built.graph) == expected
        assert built.completed == missing
    elif feasible(scores > -np.inf, edges):
        built = build("raiw", scores, edges)
        assert reference.keeps_contract(built.graph.to_bool().tolist(), edges)
        assert built.completed == missing
        assert np.all(scores[built.graph.to_bool()] > -np.inf)
    else:
        with pytest.raises(Infeasible, match="scored -inf"):
            build("raiw", scores, edges)


def feasible(allowed, edges):
    """Whether a graph within ``allowed`` keeps the contract, by SciPy's maximum flow."""
    out, n_in = allowed.shape
    source, out_tokens, in_tokens, sink = range(out + n_in, out + n_in + 4)
    capacity = np.zeros((sink + 1, sink + 1), np.int32)
    capacity[:out, out : out + n_in] = allowed
    capacity[source, :out], capacity[source, out_tokens] = share(edges, out)
    capacity[out_tokens, :out] = 1
    capacity[out : out + n_in, sink], capacity[in_tokens, sink] = share(edges, n_in)
    capacity[out : out + n_in, in_tokens] = 1
    return maximum_flow(csr_array(capacity), source, sink).flow_value == edges


sizes = st.tuples(st.integers(1, 10), st.integers(1, 10))


@settings(max_examples=300)
@given(sizes, st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_regular_equals_the_reference(shape, density, seed):
    edges = round(density * shape[0] * shape[1])
    stream = Stream(seed, "layer", 0)
    expected = reference.algorithm_2(*shape, edges, reference.Philox(stream.key).below)
    built = build("regular", np.empty(shape), edges, stream)
    assert edge_set(built.graph) == expected
    assert reference.keeps_contract(built.graph.to_bool().tolist(), edges)


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.floats(0, 1),
    st.integers(0, 2**64 - 1),
)
def test_random_graphs_are_exact_and_repeatable(shape, density, seed):
    edges = round(density * shape[0] * shape[1])
    for name in ("regular", "random"):
        graphs = [build(name, np.empty(shape), edges, Stream(seed, "a", 0)).graph for _ in "ab"]
        assert np.array_equal(graphs[0].bits, graphs[1].bits)
        assert graphs[0].edges == edges
        assert np.array_equal(type(graphs[0]).from_bool(graphs[0].to_bool()).bits, graphs[0].bits)
    assert reference.keeps_contract(
        build("regular", np.empty(shape), edges).graph.to_bool().tolist(), edges
    )


@settings(max_examples=60)
@given(st.data())
def test_groups_are_separate_graphs(data):
    groups, out, n_in = (data.draw(st.integers(1, 6)) for _ in range(3))
    edges = data.draw(st.integers(0, groups * out * n_in))
    layer = Conv(
        name="c",
        kind="conv2d",
        in_channels=groups * n_in,
        out_channels=groups * out,
        kernel_size=3,
        groups=groups,
    )
    planned = PlannedLayer(layer, edges, "/craft/edges")
    kind = data.draw(st.sampled_from(FINITE))
    scores = KINDS[kind](np.random.default_rng(edges), groups * out, n_in)
    algorithm = data.draw(st.sampled_from(["raiw", "regular", "random"]))
    crafted = craft_layer(planned, algorithm, 7, scores)
    kept = crafted.graph.to_bool()
    assert crafted.graph.shape == planned.shape
    for group, share_of_edges in enumerate(planned.group_edges):
        rows = slice(group * out, (group + 1) * out)
        alone = build(algorithm, scores[rows], share_of_edges, Stream(7, "c", group))
        assert np.array_equal(kept[rows], alone.graph.to_bool())
