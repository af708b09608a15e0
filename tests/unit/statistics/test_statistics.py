"""Published and closed-form numbers of the statistics."""

import json
import math

import numpy as np
import pytest

from raiw.errors import InvalidInput
from raiw.graphs import Bools, Graph
from raiw.statistics import describe, measure
from raiw.statistics.entropy import dense_entropy


def blocks(count: int, size: int) -> Bools:
    return np.kron(np.eye(count, dtype=bool), np.ones((size, size), bool)).astype(bool)


def circulant(n: int, degree: int) -> Bools:
    kept = np.zeros((n, n), bool)
    for shift in range(degree):
        kept[np.arange(n), (np.arange(n) + shift) % n] = True
    return kept


def dense(out: int, n_in: int) -> Bools:
    return np.ones((out, n_in), bool)


def pendant_block() -> Bools:
    kept = np.zeros((10, 10), bool)
    kept[:7, :7] = True
    kept[7, 0] = True
    return kept


@pytest.mark.parametrize(
    ("kept", "entropy", "digits", "method"),
    [
        pytest.param(dense(10, 10), 2.926418, 6, "closed form", id="K10,10"),
        pytest.param(dense(5, 10), 2.553682, 6, "closed form", id="K5,10, Figure 2a"),
        pytest.param(blocks(2, 5), 2.857103, 6, "exact", id="2 K5,5"),
        pytest.param(pendant_block(), 2.569107, 6, "exact", id="K7,7 and a pendant edge"),
        pytest.param(circulant(256, 8), 6.1632, 4, "exact", id="256x256 d=8 circulant"),
        pytest.param(blocks(32, 8), 6.1517, 4, "exact", id="256x256 d=8, 32 K8,8"),
        pytest.param(dense(256, 256), 6.2356, 4, "closed form", id="256x256 dense"),
        pytest.param(np.eye(100, dtype=bool), math.log(100), 12, "closed form", id="matching"),
        pytest.param(dense(1, 1), 0.0, 12, "closed form", id="one edge"),
        pytest.param(np.zeros((3, 4), bool), 0.0, 12, "closed form", id="no edge"),
    ],
)
def test_entropy_is_the_published_one(
    kept: Bools, entropy: float, digits: int, method: str
) -> None:
    statistics = measure(Graph.from_bool(kept))
    assert round(statistics.entropy, digits) == round(entropy, digits)
    assert statistics.entropy_method == method
    assert statistics.entropy_error is None


def test_min_entropy_graph_of_figure_2_leaves_five_vertices_out() -> None:
    kept = np.zeros((10, 10), bool)
    kept[:5] = True
    statistics = measure(Graph.from_bool(kept))
    assert round(statistics.entropy, 3) == 2.554
    assert (statistics.unreached_outputs, statistics.unreached_inputs) == (5, 0)
    assert statistics.components == 6
    assert statistics.algebraic_connectivity == statistics.spectral_gap == 0


@pytest.mark.parametrize(
    ("shape", "share_of_bound"),
    [((64, 2048), 0.860), ((128, 1024), 0.934), ((4096, 14336), 0.981)],
)
def test_dense_entropy_of_rectangles_stays_below_ln_n_minus_1(
    shape: tuple[int, int], share_of_bound: float
) -> None:
    bound = math.log(sum(shape) - 1)
    assert round(dense_entropy(shape) / bound, 3) == share_of_bound


def test_quadratic_form_does_not_see_what_entropy_sees() -> None:
    joined, apart = (measure(Graph.from_bool(kept)) for kept in (circulant(256, 8), blocks(32, 8)))
    assert joined.quadratic_entropy == apart.quadratic_entropy
    assert joined.entropy > apart.entropy
    assert (joined.components, apart.components) == (1, 32)
    assert joined.algebraic_connectivity > 0 == apart.algebraic_connectivity


def test_components_joined_by_long_paths_are_counted_whole() -> None:
    rings = np.kron(np.eye(2, dtype=bool), circulant(300, 2))
    for order in (slice(None), slice(None, None, -1), np.random.default_rng(0).permutation(600)):
        assert describe(Graph.from_bool(rings[order])).components == 2


def test_expansion_of_a_cycle() -> None:
    n = 16  # output i joined to inputs i and i+1: a cycle of 2n vertices
    statistics = measure(Graph.from_bool(circulant(n, 2)))
    assert statistics.algebraic_connectivity == pytest.approx(2 - 2 * math.cos(math.pi / n))
    assert statistics.spectral_gap == pytest.approx(1 - math.cos(math.pi / n))


def test_facts_of_a_grouped_layer() -> None:
    kept = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    facts = describe(Graph.from_bool(kept), groups=2)
    assert json.loads(json.dumps(facts.to_json())) == {
        "shape": [4, 3],
        "groups": 2,
        "edges": 4,
        "density": 4 / 12,
        "in_degree": {"min": 0, "mean": 4 / 6, "max": 1},
        "out_degree": {"min": 0, "mean": 1.0, "max": 2},
        "regularity": -math.sqrt(10 * 10 - 8**2) / 10,
        "quadratic_entropy": 1 - 1 / 8 - 10 / 64,
        "components": 6,
        "unreached_inputs": 2,
        "unreached_outputs": 1,
    }


def test_groups_must_divide_the_outputs() -> None:
    with pytest.raises(InvalidInput, match="3 groups do not divide 4 outputs"):
        measure(Graph.from_bool(dense(4, 2)), groups=3)
