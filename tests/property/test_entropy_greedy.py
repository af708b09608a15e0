"""Algorithm 1 against its slow reference, and the numbers of Figure 2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raiw.algorithms import ALGORITHMS
from raiw.crafting.growth import grow
from raiw.errors import TooLarge
from raiw.statistics import measure
from tests.reference.entropy_greedy import entropy_greedy


@settings(max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(0, 1), st.booleans())
def test_every_step_is_that_of_the_reference(
    out: int, n_in: int, density: float, largest: bool
) -> None:
    edges = round(density * out * n_in)
    found = grow((out, n_in), edges, largest=largest)
    assert np.array_equal(found.to_bool(), entropy_greedy((out, n_in), edges, largest=largest))


@pytest.mark.parametrize(("algorithm", "entropy"), [("greedy", 2.874900), ("greedy_min", 2.553682)])
def test_figure_2(algorithm: str, entropy: float) -> None:
    built = ALGORITHMS[algorithm].load()((10, 10), 50, scores=None, stream=None)
    assert round(measure(built.graph).entropy, 6) == entropy


def test_the_largest_entropy_is_regular_and_the_smallest_a_block() -> None:
    most = grow((10, 10), 50, largest=True)
    least = grow((10, 10), 50, largest=False)
    assert set(most.out_degrees()) == set(most.in_degrees()) == {5}
    assert sorted([sorted(least.out_degrees()), sorted(least.in_degrees())]) == [
        [0] * 5 + [10] * 5,
        [5] * 10,
    ]


def test_hours_are_refused_before_they_start() -> None:
    with pytest.raises(TooLarge, match="4096 edges in a 512 × 512 graph would take hours"):
        grow((512, 512), 4096, largest=True)
