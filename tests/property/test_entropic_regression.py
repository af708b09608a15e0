"""The regression of entropic sparsification: descent, recovery, and the group quasi-norm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiw.importance.regression import Moments, fit, refit, relative_error

CHANNELS, TAPS, OUTPUTS, SAMPLES = 32, 9, 16, 4000
STRONG, ACTIVE = 8, 14
NOISE = 0.01


@pytest.fixture(scope="module")
def toy() -> Moments:
    """Fourteen channels act, six of them weakly; twelve others are noisy copies of those."""
    random = np.random.default_rng(0)
    z = random.normal(size=(SAMPLES, CHANNELS, TAPS))
    z[:, ACTIVE : ACTIVE + 12] *= np.sqrt(1 - 0.9**2)
    z[:, ACTIVE : ACTIVE + 12] += 0.9 * z[:, :12]
    kernel = np.zeros((OUTPUTS, CHANNELS, TAPS))
    kernel[:, :STRONG] = 0.1 * random.normal(size=(OUTPUTS, STRONG, TAPS))
    kernel[:, STRONG:ACTIVE] = 0.03 * random.normal(size=(OUTPUTS, ACTIVE - STRONG, TAPS))
    z = z.reshape(SAMPLES, -1)
    y = z @ kernel.reshape(OUTPUTS, -1).T
    y += np.sqrt(NOISE) * random.normal(size=y.shape)
    return _moments(z, y, TAPS)


def _moments(z: np.ndarray, y: np.ndarray, taps: int) -> Moments:
    return Moments(z.T @ z / len(z), y.T @ z / len(z), float((y**2).sum() / len(z)), taps)


def test_a_minimised_entropy_recovers_the_active_channels(toy: Moments) -> None:
    found = fit(toy, l2=1e-2, entropy=1e-3)
    assert np.flatnonzero(found.weights).tolist() == list(range(ACTIVE))
    kernel = refit(toy, found.weights > 0)
    assert relative_error(toy, kernel) * toy.outputs / OUTPUTS == pytest.approx(NOISE, rel=0.05)


def test_a_small_ridge_keeps_all_that_act(toy: Moments) -> None:
    found = fit(toy, l2=1e-4, entropy=1e-2)
    kept = set(np.flatnonzero(found.weights))
    assert kept >= set(range(ACTIVE))
    assert len(kept) < CHANNELS


def test_a_large_ridge_keeps_the_strong_only(toy: Moments) -> None:
    assert np.flatnonzero(fit(toy, l2=1, entropy=1e-2).weights).tolist() == list(range(STRONG))


def test_a_maximised_entropy_keeps_every_channel(toy: Moments) -> None:
    for l2, entropy in ((1e-4, 1e-2), (1e-2, 1e-3)):
        assert (fit(toy, l2=l2, entropy=entropy, sign=-1).weights > 0).all()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Moments, dict[str, float]]:
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    taps = draw(st.integers(1, 3))
    z = random.normal(size=(40, 6 * taps)) @ random.normal(size=(6 * taps, 6 * taps))
    y = z @ random.normal(size=(6 * taps, 3)) + random.normal(size=(40, 3))
    options = {
        "l2": draw(st.sampled_from([1e-5, 1e-3, 1e-1, 10.0])),
        "entropy": draw(st.sampled_from([0.0, 1e-4, 1e-2, 1.0])),
        "sign": draw(st.sampled_from([-1, 1])),
    }
    return _moments(z, y, taps), options


@given(problems())
def test_what_is_found_is_a_minimum(problem: tuple[Moments, dict[str, float]]) -> None:
    moments, options = problem
    found = fit(moments, **options)
    assert found.converged
    assert found.weights.sum() == pytest.approx(1)
    assert found.objective == pytest.approx(objective(moments, found.weights, **options))
    random = np.random.default_rng(0)
    for _ in range(20):  # a step to any neighbour on the same face gains nothing
        direction = random.normal(size=6) * (found.weights > 0)
        near = found.weights * np.exp(1e-3 * direction)
        beside = objective(moments, near / near.sum(), **options)
        assert beside >= found.objective - 1e-9 * abs(found.objective)
    dropped = np.repeat(found.weights == 0, moments.taps)
    assert not found.kernels[0][:, dropped].any()


@given(problems())
def test_no_single_channel_can_be_removed_with_profit(
    problem: tuple[Moments, dict[str, float]],
) -> None:
    moments, options = problem
    found = fit(moments, **options)
    for channel in np.flatnonzero(found.weights)[: (found.weights > 0).sum() - 1]:
        rest = found.weights.copy()
        rest[channel] = 0
        without = objective(moments, rest / rest.sum(), **options)
        assert without >= found.objective - 1e-6 * abs(found.objective)


@given(problems(), st.integers(1, 6))
def test_no_more_channels_stay_than_allowed(
    problem: tuple[Moments, dict[str, float]], most: int
) -> None:
    moments, options = problem
    assert 1 <= np.count_nonzero(fit(moments, most=most, **options).weights) <= most


def objective(
    moments: Moments, weights: np.ndarray, *, l2: float, entropy: float, sign: int
) -> float:
    """Return the objective of the module's text, term by term, at the best ``L`` of ``w``."""
    inputs, outputs = len(moments.inputs), len(moments.cross)
    scale = np.diag(np.repeat(weights, moments.taps))
    system = scale @ moments.inputs @ scale + l2 / inputs * np.eye(inputs)
    linear = np.linalg.solve(system, scale @ moments.cross.T).T
    kernel = linear @ scale
    error = moments.outputs - 2 * (kernel * moments.cross).sum()
    error += (kernel @ moments.inputs * kernel).sum()
    information = -sum(w * np.log(w) for w in weights if w > 0)
    ridge = l2 / (inputs * outputs) * (linear**2).sum()
    return float(error / outputs + ridge + sign * entropy * information)


def test_of_two_equal_channels_the_first_stays() -> None:
    random = np.random.default_rng(2)
    z = np.tile(random.normal(size=(200, 4)), 2)
    y = z[:, :4] @ random.normal(size=(4, 3))
    found = fit(_moments(z, y, 1), l2=1e-3, entropy=3e-3)
    assert np.flatnonzero(found.weights).tolist() == [0, 1, 2, 3]


def test_without_entropy_the_weights_follow_the_kernel(toy: Moments) -> None:
    """At the minimum over w of the ridge alone, w_c is proportional to |Q_c|^(2/3)."""
    found = fit(toy, l2=1e-2, entropy=0)
    norms = np.sqrt((found.kernels[0].reshape(OUTPUTS, CHANNELS, TAPS) ** 2).sum((0, 2)))
    wanted = norms ** (2 / 3) / (norms ** (2 / 3)).sum()
    assert found.weights == pytest.approx(wanted, abs=2e-4)


def test_refit_is_least_squares() -> None:
    random = np.random.default_rng(5)
    z, y = random.normal(size=(50, 8)), random.normal(size=(50, 3))
    kept = np.array([True, False, True, True])
    wanted = np.linalg.lstsq(z[:, np.repeat(kept, 2)], y, rcond=None)[0].T
    kernel = refit(_moments(z, y, 2), kept)
    assert kernel[:, np.repeat(kept, 2)] == pytest.approx(wanted, rel=1e-5)
    assert not kernel[:, 2:4].any()


@given(problems(), st.integers(0, 1000))
def test_readers_share_one_vector(problem: tuple[Moments, dict[str, float]], seed: int) -> None:
    """The objective is the mean of the readers' own, at one minimum of both."""
    moments, options = problem
    random = np.random.default_rng(seed)
    z = random.normal(size=(40, len(moments.inputs)))
    other = _moments(z, z @ random.normal(size=(z.shape[1], 2)), moments.taps)
    found = fit(moments, other, **options)
    own = [objective(reader, found.weights, **options) for reader in (moments, other)]
    assert found.objective == pytest.approx(sum(own) / 2)
    assert found.converged
    for kernel in found.kernels:
        dropped = np.repeat(found.weights == 0, moments.taps)
        assert not kernel[:, dropped].any()


@given(problems())
def test_a_reader_twice_counts_as_once(problem: tuple[Moments, dict[str, float]]) -> None:
    moments, options = problem
    once, twice = fit(moments, **options), fit(moments, moments, **options)
    assert np.array_equal(once.weights, twice.weights)
    assert once.objective == twice.objective


def test_a_channel_that_one_of_two_readers_needs_stays(toy: Moments) -> None:
    random = np.random.default_rng(1)
    z = random.normal(size=(SAMPLES, CHANNELS * TAPS))
    last = _moments(z, z[:, -TAPS:] @ random.normal(size=(TAPS, OUTPUTS)), TAPS)
    assert fit(toy, l2=1e-2, entropy=1e-3).weights[-1] == 0
    assert fit(toy, last, l2=1e-2, entropy=1e-3).weights[-1] > 0


@pytest.mark.parametrize("order", [1, -1])
def test_what_removal_costs_every_reader_counts(order: int) -> None:
    """Each of two readers needs two channels much, and the other six little."""
    random = np.random.default_rng(3)
    z = random.normal(size=(400, 8))
    readers = []
    for start in (0, 2):
        kernel = 0.1 * random.normal(size=(3, 8))
        kernel[:, start : start + 2] = random.normal(size=(3, 2))
        readers.append(_moments(z, z @ kernel.T, 1))
    found = fit(*readers[::order], l2=1e-6, entropy=0, most=4)
    assert np.flatnonzero(found.weights).tolist() == [0, 1, 2, 3]
