"""Sparse entropic regression of one layer: which input channels its outputs need.

A layer is one linear map at every position of its output: ``z`` holds the ``n = C·taps`` inputs of
a position, grouped by channel, ``y`` its ``m`` outputs. Sought are a probability vector ``w`` over
the ``C`` channels and ``L (m, n)`` that minimise::

    1/(T m) sum_t |y_t - L D(w) z_t|^2  +  l2/(n m) |L|^2  +  sign · entropy · H(w)

with ``H(w) = -sum_c w_c log w_c`` and ``D(w)`` repeating ``w_c`` over the taps of channel ``c``.
``sign = +1`` reads "entropy minimisation" literally: more ``entropy``, fewer channels.
``sign = -1`` is what SPARTAn's published code does: more ``entropy``, more channels.

Sources: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural
Networks, Neural Computation 2025; Horenko et al., SPARTAn, PNAS 2022. The papers' equations are not
public in full; alternation, threshold and treatment of ``sign = +1`` are ours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

_THRESHOLD = 1e-4
"""A channel is dropped when its weight is at most this share of ``1/C``."""
_SIMPLEX_STEPS = 50
_SMALL = 1024
"""Smaller systems are solved sooner by one thread: several would mostly wait for each other."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Second moments of a layer's samples, means over positions, centred if it has a bias."""

    inputs: Floats
    """``E[z z']``, ``(n, n)``."""
    cross: Floats
    """``E[y z']``, ``(m, n)``."""
    outputs: float
    """``E|y|^2``."""
    taps: int
    """Inputs of one channel."""

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return len(self.inputs) // self.taps


@dataclass(frozen=True, slots=True)
class Fit:
    """The minimum found."""

    weights: Floats
    """``w``, exact zeros for the dropped channels, ``(C,)``."""
    kernel: Floats
    """``L D(w)``, the layer's new weight matrix, ``(m, n)``."""
    objective: tuple[float, ...]
    """The objective after every sweep; it never rises."""


def fit(
    moments: Moments,
    *,
    l2: float,
    entropy: float,
    sign: int = 1,
    sweeps: int = 200,
    tolerance: float = 1e-9,
) -> Fit:
    """Minimise the objective by turns in ``L`` (closed form) and ``w`` (on the simplex).

    Starts from equal weights. Each turn lowers the objective, which is the guarantee there is: for
    ``sign = +1`` the problem is not convex. A channel whose weight reaches zero stays out, and the
    following sweeps are cheaper by it. One sweep costs ``O(n^3 + m n^2)`` in the channels left.

    Raises
    ------
    numpy.linalg.LinAlgError
        ``l2`` is 0 and the inputs are linearly dependent.
    """
    with threadpool_limits(1 if len(moments.inputs) < _SMALL else None, "blas"):
        return _alternate(moments, l2, entropy, sign, sweeps, tolerance)


def _alternate(
    moments: Moments, l2: float, entropy: float, sign: int, sweeps: int, tolerance: float
) -> Fit:
    weights = np.full(moments.channels, 1 / moments.channels)
    objective: list[float] = []
    while True:
        left, taps = _left(weights, moments.taps)
        scale = np.repeat(weights[left], moments.taps)
        inputs, cross = moments.inputs[np.ix_(taps, taps)], moments.cross[:, taps]
        ridge = l2 / len(moments.inputs)
        linear = _solve(inputs, cross, scale, ridge)
        problem = _Simplex.of(inputs, cross, linear, moments.taps, entropy, sign)
        constant = moments.outputs / len(cross) + ridge / len(cross) * float((linear**2).sum())
        weights[left] = problem.descend(weights[left])
        objective.append(constant + problem.value(weights[left]))
        settled = len(objective) > 1 and objective[-2] - objective[-1] < tolerance * objective[0]
        if settled or len(objective) == sweeps:
            break
    weights[weights <= _THRESHOLD / len(weights)] = 0
    return Fit(weights, _kernel(moments, weights, l2), tuple(objective))


def refit(moments: Moments, kept: npt.NDArray[np.bool_], ridge: float = 1e-8) -> Floats:
    """Return the least-squares ``(m, n)`` weight matrix on the kept channels alone.

    ``ridge`` times the mean of the inputs' variances keeps dependent inputs solvable.
    """
    taps = np.repeat(kept, moments.taps)
    inputs = moments.inputs[np.ix_(taps, taps)]
    kernel = np.zeros_like(moments.cross)
    damping = ridge * max(float(np.trace(moments.inputs)) / len(moments.inputs), 1e-300)
    kernel[:, taps] = _solve(inputs, moments.cross[:, taps], np.ones(len(inputs)), damping)
    return kernel


def relative_error(moments: Moments, kernel: Floats) -> float:
    """Return the mean squared error of a weight matrix over the mean square of the outputs."""
    explained = 2 * (kernel * moments.cross).sum() - ((kernel @ moments.inputs) * kernel).sum()
    return float(1 - explained / moments.outputs) if moments.outputs else 0.0


def _left(weights: Floats, taps: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    return np.flatnonzero(weights), np.repeat(weights > 0, taps)


def _solve(inputs: Floats, cross: Floats, scale: Floats, ridge: float) -> Floats:
    """Return ``B D (D G D + ridge I)^-1``."""
    system = scale[:, None] * inputs * scale
    system[np.diag_indices_from(system)] += ridge
    solved: Floats = cho_solve(cho_factor(system, overwrite_a=True), (cross * scale).T).T
    return solved


def _kernel(moments: Moments, weights: Floats, l2: float) -> Floats:
    _, taps = _left(weights, moments.taps)
    scale = np.repeat(weights, moments.taps)[taps]
    inputs, cross = moments.inputs[np.ix_(taps, taps)], moments.cross[:, taps]
    kernel = np.zeros_like(moments.cross)
    kernel[:, taps] = _solve(inputs, cross, scale, l2 / len(moments.inputs)) * scale
    return kernel


@dataclass(frozen=True, slots=True)
class _Simplex:
    """``min w'Aw + b'w + sign · entropy · H(w)`` over the probability vectors."""

    quadratic: Floats
    linear: Floats
    entropy: float
    sign: int

    @classmethod
    def of(
        cls, inputs: Floats, cross: Floats, matrix: Floats, taps: int, entropy: float, sign: int
    ) -> "_Simplex":
        channels = len(inputs) // taps
        products = (matrix.T @ matrix) * inputs
        quadratic = products.reshape(channels, taps, channels, taps).sum((1, 3)) / len(cross)
        linear = -2 * (matrix * cross).sum(0).reshape(channels, taps).sum(1) / len(cross)
        return cls(quadratic, linear, entropy, sign)

    def value(self, weights: Floats) -> float:
        positive = weights[weights > 0]
        information = -float((positive * np.log(positive)).sum())
        smooth = weights @ self.quadratic @ weights + self.linear @ weights
        return float(smooth) + self.sign * self.entropy * information

    def descend(self, start: Floats) -> Floats:
        """Return a vector whose value is not above that of ``start``."""
        weights = self._mirrored(start) if self.sign * self.entropy < 0 else self._projected(start)
        return weights if self.value(weights) <= self.value(start) else start

    def _mirrored(self, weights: Floats) -> Floats:
        """Mirror descent, the entropy term solved exactly: every step lowers the convex value."""
        smoothness = 2 * float(np.abs(self.quadratic).max()) or 1.0
        for _ in range(_SIMPLEX_STEPS):
            gradient = 2 * self.quadratic @ weights + self.linear
            logs = smoothness * np.log(np.maximum(weights, 1e-300)) - gradient
            logs /= smoothness + self.entropy
            shares = np.exp(logs - logs.max())
            weights = shares / shares.sum()
        return weights

    def _projected(self, weights: Floats) -> Floats:
        """Projected gradient on the concave entropy's tangent, which lies above it."""
        tangent = self.linear - self.entropy * np.log(np.maximum(weights, 1e-300))
        smoothness = 2 * float(np.linalg.eigvalsh(self.quadratic)[-1]) or 1.0
        for _ in range(_SIMPLEX_STEPS):
            gradient = 2 * self.quadratic @ weights + tangent
            weights = _onto_simplex(weights - gradient / smoothness)
        return weights


def _onto_simplex(point: Floats) -> Floats:
    """Return the nearest probability vector."""
    descending = np.sort(point)[::-1]
    surplus = (np.cumsum(descending) - 1) / np.arange(1, len(point) + 1)
    nearest: Floats = np.maximum(point - surplus[np.flatnonzero(descending > surplus)[-1]], 0)
    return nearest
