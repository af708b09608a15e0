"""What a random mask is expected to have, held against random masks."""

import numpy as np
import pytest
from scipy.stats import hypergeom

import raiw
from raiw.graphs import Graph
from raiw.pictures import spectra
from raiw.pictures.degrees import expected_degrees, side_degrees
from raiw.statistics import measure
from raiw.statistics.entropy import expected_gap
from raiw.statistics.spectrum import singular_values


def craft(shape, edges, algorithm, seed=0):
    layer = {"name": "fc", "kind": "linear", "in_features": shape[1], "out_features": shape[0]}
    spec = {"layers": [layer], "craft": {"edges": edges, "algorithm": algorithm, "seed": seed}}
    return raiw.craft(spec)["fc"].graph


def test_degrees_are_hypergeometric():
    by_group = np.array([[3, 5, 4], [9, 0, 0]])
    found = expected_degrees(by_group, 20)
    exact = 3 * hypergeom(60, 12, 20).pmf(np.arange(21)) + 3 * hypergeom(60, 9, 20).pmf(
        np.arange(21)
    )
    np.testing.assert_allclose(found, exact, atol=1e-12)
    assert found @ np.arange(21) == pytest.approx(by_group.sum())


@pytest.mark.parametrize("edges", [0, 1, 59, 60])
def test_degrees_of_masks_that_are_nearly_empty_or_full(edges):
    found = expected_degrees(np.array([[edges, 0, 0]]), 20)
    np.testing.assert_allclose(found, 3 * hypergeom(60, edges, 20).pmf(np.arange(21)), atol=1e-12)


def test_both_sides_of_groups():
    kept = np.random.default_rng(0).random((6, 4)) < 0.5
    graph = Graph.from_bool(kept)
    assert side_degrees(graph, "outputs", 3).tolist() == kept.sum(1).reshape(3, 2).tolist()
    assert side_degrees(graph, "inputs", 3).tolist() == kept.reshape(3, 2, 4).sum(1).tolist()


@pytest.mark.parametrize("shape", [(20, 31), (31, 20), (7, 7), (1, 5)])
def test_singular_values_are_those_of_the_matrix(shape):
    kept = np.random.default_rng(1).random(shape) < 0.4
    found = singular_values(Graph.from_bool(kept))
    np.testing.assert_allclose(found, np.linalg.svd(kept, compute_uv=False), atol=1e-6)


def test_the_law_of_singular_values_counts_those_of_random_masks():
    graph = craft((300, 200), 9000, "random")
    edges = np.linspace(0, 14, 8)
    expected = spectra._law(graph, edges)
    assert expected.sum() == pytest.approx(199)
    found = np.histogram(singular_values(graph)[1:], edges)[0]
    assert np.abs(found - expected).max() < 8


@pytest.mark.parametrize("shape", [(256, 256), (64, 512), (512, 128)])
@pytest.mark.parametrize("density", [0.0625, 0.25, 0.75])
@pytest.mark.parametrize("algorithm", ["random", "regular"])
def test_the_gap_is_as_expected_to_some_percent(shape, density, algorithm):
    edges = round(density * shape[0] * shape[1])
    gap = measure(craft(shape, edges, algorithm)).entropy_gap
    expected = expected_gap(shape, edges, regular=algorithm == "regular")
    assert gap == pytest.approx(expected, rel=0.12)


def test_a_dense_layer_has_no_gap():
    assert expected_gap((8, 24), 192, regular=False) == 0
