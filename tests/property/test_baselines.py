"""The baselines against their formulas."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from raiw.algorithms import ALGORITHMS
from raiw.crafting.algorithms.radix import place_values
from raiw.crafting.randomness import Stream
from raiw.errors import Infeasible
from tests.reference import baselines as reference
from tests.reference.scores import FINITE, make_scores, problems

STREAM = Stream(0, "layer", 0)


def build(name, shape, edges, scores=None, stream=STREAM, **options):
    run = ALGORITHMS[name].load()
    return run(shape, edges, scores=scores, stream=stream, **options).graph


def edge_set(graph):
    return {(int(u), int(v)) for u, v in np.argwhere(graph.to_bool())}


@st.composite
def blocks(draw, kinds, largest=8):
    """Scores whose sides are multiples of m, with m and n."""
    m = draw(st.sampled_from([1, 2, 3, 4, 8, 12, 16]).filter(lambda m: m <= largest))
    out, n_in = m * draw(st.integers(1, 3)), m * draw(st.integers(1, 3))
    kind, dtype = draw(st.sampled_from(kinds)), draw(st.sampled_from(["float32", "float64"]))
    scores = make_scores(kind, out, n_in, draw(st.integers(0, 2**32)), dtype)
    return scores, m, draw(st.integers(0, m))


@settings(max_examples=150)
@given(problems(9, FINITE))
@pytest.mark.parametrize("name", ["magnitude", "constant_fan_in"])
def test_the_best_edges_are_kept(name, problem):
    scores, edges = problem
    expected = getattr(reference, name)(scores.tolist(), edges, STREAM.key)
    assert edge_set(build(name, scores.shape, edges, scores)) == expected


@settings(max_examples=60)
@given(problems(60, FINITE))
def test_of_many_equal_scores_those_of_lowest_keys_are_kept(problem):
    scores, edges = problem
    expected = reference.constant_fan_in(scores.tolist(), edges, STREAM.key)
    assert edge_set(build("constant_fan_in", scores.shape, edges, scores)) == expected


@settings(max_examples=150)
@given(blocks(FINITE, largest=16))
def test_nm_keeps_the_best_of_every_block(problem):
    scores, m, n = problem
    graph = build("nm", scores.shape, scores.size * n // m, scores, m=m)
    assert edge_set(graph) == reference.nm(scores.tolist(), n, m, STREAM.key)


def tiles(table, m):
    """The M × M blocks of a table."""
    return [
        table[top : top + m, left : left + m]
        for top, left in product(range(0, len(table), m), range(0, len(table[0]), m))
    ]


@settings(max_examples=200)
@given(blocks([*FINITE, "forbidden"], largest=4))
def test_transposable_nm_is_the_first_of_the_best_patterns(problem):
    scores, m, n = problem
    expected = [reference.best_transposable(tile.tolist(), n) for tile in tiles(scores, m)]
    assume(None not in expected)
    kept = build("transposable_nm", scores.shape, scores.size * n // m, scores, m=m).to_bool()
    assert [{(u, v) for u, v in np.argwhere(tile)} for tile in tiles(kept, m)] == expected


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(5, 1), (5, 2), (5, 3), (5, 4), (6, 2)]),
    st.sampled_from([2, 3, 10, 1000]),
)
def test_a_larger_transposable_block_is_the_first_of_the_best_patterns(seed, sides, values):
    m, n = sides
    scores = np.random.default_rng(seed).integers(-values, values, (m, m)).astype(float)
    kept = build("transposable_nm", (m, m), m * n, scores, m=m).to_bool()
    assert {(u, v) for u, v in np.argwhere(kept)} == reference.best_transposable(scores.tolist(), n)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([5, 6, 8, 12, 16, 17, 32]),
    st.floats(0, 1),
    st.sampled_from(["normal", "heavy", "ties", "equal", "forbidden", "wide"]),
)
def test_a_large_transposable_block_is_as_good_as_the_linear_program(seed, m, share, kind):
    draw = np.random.default_rng(seed)
    if kind == "wide":
        scores = draw.standard_normal((m, m)) * 10.0 ** draw.integers(-30, 30, (m, m))
    elif kind == "forbidden":
        scores = np.where(draw.random((m, m)) < 0.2, -np.inf, draw.standard_normal((m, m)))
    else:
        scores = make_scores(kind, m, m, seed, "float64")
    n, allowed = round(share * m), np.isfinite(scores).ravel().astype(float)
    rows, columns = np.kron(np.eye(m), np.ones(m)), np.kron(np.ones(m), np.eye(m))
    gains = np.where(np.isfinite(scores), scores, 0).ravel()
    gains = gains / (np.abs(gains).max() or 1)
    program = linprog(
        -gains,
        A_eq=np.concatenate([rows, columns]),
        b_eq=[n] * 2 * m,
        bounds=np.stack([0 * allowed, allowed], axis=1),
    )
    assume(program.status == 0)
    kept = build("transposable_nm", (m, m), m * n, scores, m=m).to_bool()
    assert kept.sum(axis=0).tolist() == kept.sum(axis=1).tolist() == [n] * m
    assert np.isfinite(scores[kept]).all()
    # No pattern is better than the best; the program's own is at times worse, by its tolerance.
    assert gains[kept.ravel()].sum() >= -program.fun - 1e-7


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.sampled_from([4, 8, 12, 16]),
    st.sampled_from(["ties", "equal", "normal"]),
)
def test_a_transposable_block_depends_on_no_other(seed, m, kind):
    """Not on where it lies among those that are solved side by side, nor on the type of scores."""
    scores = make_scores(kind, 2 * m, 35 * m, seed, "float32").astype(np.float16)
    alone = [build("transposable_nm", (m, m), m * m // 2, tile, m=m) for tile in tiles(scores, m)]
    for dtype in (np.float16, np.float32, np.float64):
        wide = scores.astype(dtype)
        kept = build("transposable_nm", wide.shape, wide.size // 2, wide, m=m).to_bool()
        assert all(
            np.array_equal(one.to_bool(), tile)
            for one, tile in zip(alone, tiles(kept, m), strict=True)
        )


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([6, 8, 16]), st.sampled_from([1, 2, 3]))
def test_no_exchange_of_equals_makes_a_large_block_come_earlier(seed, m, values):
    """Where the cells of two rows and columns could be exchanged at no loss, the first are kept."""
    scores = np.random.default_rng(seed).integers(0, values, (m, m)).astype(float)
    kept = build("transposable_nm", (m, m), m * (m // 2), scores, m=m).to_bool()
    for (u, w), (v, x) in product(combinations(range(m), 2), repeat=2):
        if kept[u, x] and kept[w, v] and not kept[u, v] and not kept[w, x]:
            assert scores[u, x] + scores[w, v] > scores[u, v] + scores[w, x]


@settings(max_examples=100)
@given(blocks(["forbidden"], largest=4))
@pytest.mark.parametrize("name", ["nm", "transposable_nm"])
def test_forbidden_edges_are_never_kept_and_fail_only_without_remedy(name, problem):
    scores, m, n = problem
    edges = scores.size * n // m
    assume(edges)
    tables = [tile.tolist() for tile in tiles(scores, m)]
    if name == "nm":
        feasible = all(sum(s > -math.inf for s in row) >= n for t in tables for row in t)
    else:
        feasible = all(reference.best_transposable(table, n) is not None for table in tables)
    if feasible:
        kept = build(name, scores.shape, edges, scores, m=m).to_bool()
        assert np.all(scores[kept] > -math.inf)
    else:
        with pytest.raises(Infeasible, match="scored -inf"):
            build(name, scores.shape, edges, scores, m=m)


@pytest.mark.parametrize("name", ["magnitude", "constant_fan_in"])
def test_too_few_allowed_edges_are_infeasible(name):
    scores = np.array([[1.0, -np.inf], [-np.inf, -np.inf]])
    with pytest.raises(Infeasible, match="1 of 2 edges"):
        build(name, (2, 2), 2, scores)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_expander_vertices_of_the_smaller_side_draw(out, n_in, density, seed):
    edges = round(density * out * n_in)
    graph = build("expander", (out, n_in), edges, stream=Stream(seed, "a", 0))
    degrees = graph.out_degrees() if n_in > out else graph.in_degrees()
    assert graph.edges == edges
    assert degrees.max() - degrees.min() <= (edges % len(degrees) > 0)


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("constant_fan_in", (6, 8), {}),
        ("expander", (6, 8), {}),
        ("expander", (8, 6), {}),
        ("nm", (6, 8), {"m": 4}),
    ],
)
def test_without_scores_every_edge_is_equally_likely(name, shape, options):
    runs, kept = 4000, np.zeros(shape)
    for seed in range(runs):
        stream = Stream(seed, "fc", 0)
        kept += build(name, shape, 12, stream=stream, **options).to_bool()
    assert np.abs(kept / runs - 0.25).max() < 4.5 * math.sqrt(0.25 * 0.75 / runs)


def test_the_vertices_of_an_expander_draw_on_their_own():
    """Two outputs share an input as often as chance has it."""
    runs = 3000
    both = 0
    for seed in range(runs):
        kept = build("expander", (2, 4), 2, stream=Stream(seed, "fc", 0)).to_bool()
        both += int((kept[0] & kept[1]).any())
    assert abs(both / runs - 0.25) < 4.5 * math.sqrt(0.25 * 0.75 / runs)


@pytest.mark.parametrize("radices", [[2, 2, 2], [4, 4], [3, 3, 3], [2, 8], [8, 2]])
def test_radix_layers_are_those_of_the_formula(radices):
    size = math.prod(radices)
    for layer, radix in enumerate(radices):
        inverse = size // radix
        place = math.prod(radices[:layer])
        if place not in place_values(radix, inverse):
            continue
        position = place_values(radix, inverse).index(place)
        core = np.array(reference.radix_net(radices, layer))
        for widths in ((1, 1), (2, 3)):
            wide = np.kron(core, np.ones(widths, int))
            graph = build("radix", wide.shape, int(wide.sum()), position=position)
            assert np.array_equal(graph.to_bool(), wide > 0)


@pytest.mark.parametrize(("size", "inverse"), [(512, 8), (512, 64), (512, 32), (64, 8), (27, 9)])
def test_all_pairs_of_a_radix_net_are_joined_by_equally_many_paths(size, inverse):
    layers = len(place_values(size // inverse, inverse))
    paths = np.eye(size)
    for position in range(layers):
        graph = build("radix", (size, size), size * size // inverse, position=position)
        paths = graph.to_bool().astype(float) @ paths
    assert np.ptp(paths) == 0
    assert paths[0, 0] >= 1
