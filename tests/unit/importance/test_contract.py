"""What every importance score promises, whoever writes the next one.

Each entry of the registry has its formula here, for one linear layer and cross-entropy, in numpy
and by hand: outputs ``z = W x``, the loss ``L`` and, with ``p`` the softmax of ``z`` and ``y`` the
label's unit vector, ``dL/dW = (p - y) x``.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import raiw
from raiw.importance.methods import REGRESSION, SCORES, Score

Array = np.ndarray
SAMPLES, INPUTS, OUTPUTS = 4, 3, 2


def probabilities(weight: Array, x: Array) -> Array:
    powers = np.exp(x @ weight.T)
    return powers / powers.sum(1, keepdims=True)


def loss_gradient(weight: Array, x: Array, y: Array) -> Array:
    """Of the mean loss of all samples."""
    return (probabilities(weight, x) - np.eye(OUTPUTS)[y]).T @ x / len(x)


def hessian_times(weight: Array, x: Array, direction: Array) -> Array:
    """Of the mean loss: ``(diag(p) - p p^T) (D x)`` for each sample, times ``x``."""
    p, moved = probabilities(weight, x), x @ direction.T
    return (p * moved - p * (p * moved).sum(1, keepdims=True)).T @ x / len(x)


def snip(weight: Array, x: Array, y: Array) -> Array:
    presence = np.abs(weight * loss_gradient(weight, x, y))
    return presence / presence.sum()


def grasp(weight: Array, x: Array, y: Array) -> Array:
    return weight * hessian_times(weight, x, loss_gradient(weight, x, y))


def regressed(moments: Array, weight: Array, w: Array) -> float:
    """The objective of entropic regression, of inputs and outputs of unit mean square."""
    cross, l2, entropy = weight @ moments, REGRESSION["l2"], REGRESSION["entropy"]
    across = float(np.trace(cross @ weight.T)) / OUTPUTS
    inputs = float(np.trace(moments)) / INPUTS
    g, b = moments / inputs, cross / np.sqrt(inputs * across)
    d = np.diag(w)
    linear = b @ d @ np.linalg.inv(d @ g @ d + l2 / INPUTS * np.eye(INPUTS))
    left = linear @ d
    error = 1 - (2 * np.trace(left @ b.T) - np.trace(left @ g @ left.T)) / OUTPUTS
    told = w[w > 0]
    return float(
        error + l2 / (INPUTS * OUTPUTS) * (linear**2).sum() - entropy * (told * np.log(told)).sum()
    )


def entropic(weight: Array, x: Array, _: Array) -> Array:
    """The best probabilities on any face of the simplex, shared out by magnitude."""
    moments = x.T @ x / len(x)
    best = (np.inf, np.zeros(INPUTS))
    for face in product((False, True), repeat=INPUTS):
        kept = np.array(face)
        if not kept.any():
            continue

        def on_face(v: Array, kept: Array = kept) -> tuple[float, Array]:
            w = np.zeros(INPUTS)
            w[kept] = np.exp(v - v.max())
            w /= w.sum()
            return regressed(moments, weight, w), w

        found = minimize(
            lambda v, at=on_face: at(v)[0], np.zeros(kept.sum()), method="BFGS", tol=1e-12
        )
        best = min(best, on_face(found.x), key=lambda one: one[0])
    return best[1] * np.abs(weight) / np.abs(weight).sum(0)


FORMULAS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "gradient": lambda weight, x, _: np.abs(np.ones_like(weight) * x.mean(0)),
    "loss_gradient": lambda *at: np.abs(loss_gradient(*at)),
    "taylor": lambda weight, x, y: np.abs(weight * loss_gradient(weight, x, y)),
    "snip": snip,
    "grasp": grasp,
    "synflow": lambda weight, _, __: np.abs(weight) / np.abs(weight).sum(),
    "magnitude": lambda weight, _, __: np.abs(weight),
    "entropic": entropic,
}
DRAWN = {"random"}
"""Have no formula: their law is that a seed decides them."""
OF_WEIGHTS = {name for name in FORMULAS if name != "gradient"}  # of a linear layer it is the input


def instance(seed: int) -> tuple[Array, Array, Array]:
    """Weights, inputs and labels."""
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(OUTPUTS, INPUTS)), rng.normal(size=(SAMPLES, INPUTS))
    return weight, x, rng.integers(0, OUTPUTS, SAMPLES)


def scored(method: str, weight: Array, x: Array, y: Array, seed: int = 0) -> Array:
    net = nn.Linear(INPUTS, OUTPUTS, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(weight))
    entry = SCORES[method]
    batch = torch.from_numpy(x)
    data = [(batch, torch.from_numpy(y))] if entry.needs_labels else [batch]
    (found,) = raiw.score(net, data if entry.needs_inputs else None, method, seed=seed).values()
    return found


def test_every_score_has_its_formula_here() -> None:
    assert FORMULAS.keys() | DRAWN == SCORES.keys()


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("seed", range(3))
def test_a_score_is_what_its_formula_says(method: str, seed: int) -> None:
    at = instance(seed)
    assert scored(method, *at) == pytest.approx(FORMULAS[method](*at), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("entry", SCORES.values(), ids=SCORES)
def test_a_score_depends_on_what_it_says_it_needs_and_on_nothing_else(entry: Score) -> None:
    (weight, x, y), (other_weight, other_x, _) = instance(0), instance(1)
    found = scored(entry.name, weight, x, y)
    assert found.shape == weight.shape
    assert np.isfinite(found).all()
    assert len(np.unique(found)) > 1
    sees_values = entry.needs_inputs and entry.name != "synflow"  # which runs on ones

    def same(*at: Array, seed: int = 0) -> bool:
        return np.array_equal(scored(entry.name, *at, seed=seed), found)

    assert same(other_weight, x, y) is not (entry.name in OF_WEIGHTS)
    assert same(weight, other_x, y) is not sees_values
    assert same(weight, x, 1 - y) is not entry.needs_labels
    assert same(weight, x, y, seed=1) is not (entry.name in DRAWN)
