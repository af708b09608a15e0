"""One graph over a whole network: Figure 2, and Algorithm 2 as printed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raiw.crafting.network import craft_network
from raiw.errors import ImpossibleTarget, InvalidInput, TooLarge
from raiw.statistics import measure
from tests.reference.entropy_greedy import entropy_greedy


@pytest.mark.parametrize("widths", [(5, 10, 5), (10, 10), (4, 10, 6), (1, 10, 9)])
@pytest.mark.parametrize(("algorithm", "entropy"), [("greedy", 2.8749), ("greedy_min", 2.553682)])
def test_figure_2_for_every_layout_that_folds_to_10_and_10(
    widths: tuple[int, ...], algorithm: str, entropy: float
) -> None:
    graph = craft_network(widths, 50, algorithm)
    assert measure(graph.folded).entropy == pytest.approx(entropy, abs=1e-4)
    assert sum(layer.edges for layer in graph.layers()) == 50


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.data())
@settings(max_examples=60)
def test_only_consecutive_layers_are_joined(widths: list[int], data: st.DataObject) -> None:
    possible = sum(a * b for a, b in itertools.pairwise(widths))
    edges = data.draw(st.integers(0, min(possible, 12)))
    algorithm = data.draw(st.sampled_from(["greedy", "greedy_min", "regular"]))
    graph = craft_network(widths, edges, algorithm)
    layers = graph.layers()
    assert [layer.shape for layer in layers] == list(zip(widths[1:], widths, strict=False))
    assert sum(layer.edges for layer in layers) == graph.folded.edges == edges


def test_two_layers_are_algorithm_1() -> None:
    graph = craft_network((4, 5), 9, "greedy")
    (layer,) = graph.layers()
    assert np.array_equal(layer.to_bool(), entropy_greedy((5, 4), 9, largest=True))


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=30)
def test_every_edge_of_regular_had_the_least_sum_of_squares(seed: int) -> None:
    """Prefixes of one seed are the steps: the n-th edge is what n edges have and n - 1 have not."""
    widths = (3, 4, 3)
    degrees = np.zeros(10, int)
    before = np.zeros((4, 6), bool)
    for edges in range(1, 20):
        kept = craft_network(widths, edges, "regular", seed).folded.to_bool()
        ((u, v),) = np.argwhere(kept & ~before)
        costs = [(degrees[a] + 1) ** 2 + (degrees[4 + b] + 1) ** 2 for a, b in np.argwhere(~before)]
        assert (degrees[u] + 1) ** 2 + (degrees[4 + v] + 1) ** 2 == min(costs)
        degrees[[u, 4 + v]] += 1
        before = kept


def test_the_middle_of_four_layers_starves() -> None:
    edges = [layer.edges for layer in craft_network((16, 16, 16, 16), 256, "regular").layers()]
    assert edges[1] * 4 < min(edges[0], edges[2])


@pytest.mark.parametrize(
    ("widths", "edges", "algorithm", "error", "words"),
    [
        ((5,), 0, "greedy", InvalidInput, "two layers"),
        ((5, 0, 5), 0, "greedy", InvalidInput, "make no network"),
        ((5, 10, 5), 101, "greedy", ImpossibleTarget, "nearest feasible number is 100"),
        ((5, 10, 5), 50, "raiw", InvalidInput, "greedy, greedy_min, regular"),
        ((512, 512), 4096, "greedy", TooLarge, "hours"),
        ((4096, 4096), 4096, "regular", TooLarge, "layer by layer"),
    ],
)
def test_what_cannot_be_crafted_is_refused(widths, edges, algorithm, error, words):
    with pytest.raises(error, match=words):
        craft_network(widths, edges, algorithm)
