"""AFIE against the checked numbers of the paper's formulas on VGG-16."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiw.budgets.afie import CAP, afie_score, allocate, shape_score, whole_channels
from raiw.errors import InvalidInput

WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
FILTERS = {f"conv{place}": width for place, width in enumerate(WIDTHS[1:], 1)}


@pytest.fixture(scope="module")
def scores() -> dict[str, float | None]:
    rng = np.random.default_rng(0)
    return {
        name: afie_score(rng.standard_normal((out, inputs, 3, 3)) * math.sqrt(2 / (9 * inputs)))
        for (name, out), inputs in zip(FILTERS.items(), WIDTHS, strict=False)
    }


def test_the_scores_of_random_vgg16_weights(scores: dict[str, float]) -> None:
    wanted = [0.01593, 0.06439, 0.03221, 0.03762, 0.01881, 0.02152, 0.02152, 0.01076]
    assert np.round(list(scores.values()), 5).tolist() == wanted + [0.01211] * 5


@pytest.mark.parametrize(
    ("sparsity", "smallest", "shares"),
    [
        (0.5, 0.1063, [0.429, 0.106, 0.212, 0.182, 0.364, 0.318, 0.318, 0.636]),
        (0.7, 0.1488, [0.601, 0.149, 0.297, 0.255, 0.509, 0.445, 0.445, 0.890]),
    ],
)
def test_the_allocation_of_vgg16(
    scores: dict[str, float], sparsity: float, smallest: float, shares: list[float]
) -> None:
    allocated = allocate(scores, FILTERS, sparsity)
    assert min(allocated.values()) == pytest.approx(smallest, abs=5e-5)
    assert [round(share, 3) for share in allocated.values()][:8] == shares


def test_the_cap_is_first_reached_by_the_eighth_layer(scores: dict[str, float]) -> None:
    assert max(allocate(scores, FILTERS, 0.778).values()) < CAP
    assert allocate(scores, FILTERS, 0.787)["conv8"] == CAP


@given(
    st.lists(
        st.tuples(st.none() | st.floats(1e-4, 5), st.integers(1, 300)), min_size=1, max_size=9
    ),
    st.floats(0, CAP),
)
def test_shares_keep_the_total_and_filters_stay(
    layers: list[tuple[float | None, int]], sparsity: float
) -> None:
    scores = {str(place): score for place, (score, _) in enumerate(layers)}
    filters = {str(place): count for place, (_, count) in enumerate(layers)}
    shares = allocate(scores, filters, sparsity)
    total = sum(filters.values())
    assert sum(shares[name] * filters[name] for name in shares) == pytest.approx(sparsity * total)
    removed = whole_channels(shares, filters)
    assert all(0 <= removed[name] < filters[name] for name in removed)
    room = sum(filters.values()) - len(filters)
    assert sum(removed.values()) <= min(room, round(sparsity * total + 1e-6))


@given(
    st.lists(
        st.tuples(st.floats(1e-4, 5), st.integers(1, 300), st.integers(1, 5)),
        min_size=1,
        max_size=9,
    ),
    st.floats(0, 0.9),
)
def test_layers_that_are_added_count_one_by_one(
    layers: list[tuple[float, int, int]], sparsity: float
) -> None:
    channels = {str(place): count for place, (_, count, _) in enumerate(layers)}
    filters = {str(place): count * times for place, (_, count, times) in enumerate(layers)}
    scores = {str(place): score for place, (score, _, _) in enumerate(layers)}
    removed = whole_channels(allocate(scores, filters, sparsity), channels, filters)
    gone = sum(removed[name] * filters[name] // channels[name] for name in removed)
    most = max(times for _, _, times in layers) / 2
    wanted = sparsity * sum(filters.values())
    assert gone <= wanted + most + 1e-6
    if all(removed[name] < channels[name] - 1 for name in removed):
        assert gone >= wanted - most - 1e-6


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 9))
def test_the_score_is_nearly_a_function_of_the_shape(out: int, inputs: int, seed: int) -> None:
    score = afie_score(np.random.default_rng(seed).normal(size=(out, inputs, 3)))
    assert score is not None
    assert -1e-12 <= shape_score(out, inputs) - score <= 0.1234 / out


def test_one_singular_value_orders_nothing() -> None:
    assert afie_score(np.ones((8, 1, 3, 3))) is None
    assert allocate({"a": None, "b": 0.1}, {"a": 8, "b": 8}, 0.5) == {"a": 0.5, "b": 0.5}


def test_a_sparsity_out_of_reach_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"0 to 0\.99"):
        allocate({"a": 1.0}, {"a": 8}, 0.995)
