"""Sparse entropic regression: which of its channels a layer, or all layers that read them, need.

A layer is one linear map at every position of its output: ``z`` holds the ``n = C·taps`` inputs of
a position, grouped by channel, ``y`` its ``m`` outputs. Sought are a probability vector ``w`` over
the ``C`` channels and ``L (m, n)`` that minimise::

    1/(T m) sum_t |y_t - L D(w) z_t|^2  +  l2/(n m) |L|^2  +  sign · entropy · H(w)

with ``H(w) = -sum_c w_c log w_c`` and ``D(w)`` repeating ``w_c`` over the taps of channel ``c``.
``sign = +1`` reads "entropy minimisation" literally: more ``entropy``, fewer channels.
``sign = -1`` is what SPARTAn's published code does: more ``entropy``, more channels.

Channels that several layers read, as those that a residual connection adds to, have one ``w`` and
an ``L_r`` for each of the ``R`` readers; the error and the ridge are means over the readers::

    1/R sum_r [ 1/(T m_r) sum_t |y_rt - L_r D_r(w) z_rt|^2  +  l2/(n_r m_r) |L_r|^2 ]
        +  sign · entropy · H(w)

This is the sum of the readers' own objectives, over R, with one ``w`` for all; with one reader it
is the first formula. Neither paper has it.

The ``L`` of a given ``w`` has a closed form, ``B D (D G D + l2/n)^-1`` with ``G = E[z z']`` and
``B = E[y z']``, so what is left is a smooth function of ``w`` alone. It is not convex: every face
of the simplex has minima of its own. The one returned is stationary, and removing any
of its cheapest channels would not lower the objective.

Sources: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural
Networks, Neural Computation 2025; Horenko et al., SPARTAn, PNAS 2022. The papers' equations are not
public in full and their code takes turns in ``L`` and ``w``; the solver, the removals and the
treatment of ``sign = +1`` are ours.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from raiw.errors import InvalidInput
from raiw.graphs import Floats

_THRESHOLD = 1e-6
"""A channel is dropped when its weight is at most this share of ``1/C``."""
_TILT = 0.01
"""The start prefers earlier channels by this much: of two that are equal, the first stays."""
_PROFIT = 1e-9
"""A removal must lower the objective by this share, more than rounding can."""
_TRIED = 4
"""Channels, the cheapest by an upper bound, whose removal is tried."""
_STATIONARY = 1e-4
"""Gap, as a share of the objective, at which a minimum counts as found."""
_STRONGEST = 1000
"""Errors are relative to the outputs, so far weaker terms leave nothing but themselves."""
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

    def scales(self) -> tuple[float, float]:
        """Return the root mean squares of an input and of an output.

        Raises
        ------
        InvalidInput
            They are not finite numbers.
        """
        scales = (
            float(np.sqrt(np.trace(self.inputs) / len(self.inputs))),
            float(np.sqrt(self.outputs / len(self.cross))),
        )
        if not np.isfinite(scales).all():
            raise InvalidInput(
                "a layer's inputs or outputs are not finite numbers: look for huge values in the "
                "weights, or in the data"
            )
        return scales

    def over(self, in_scale: float, out_scale: float) -> "Moments":
        """Return the moments of inputs and outputs divided by these."""
        return Moments(
            self.inputs / in_scale**2,
            self.cross / (in_scale * out_scale),
            self.outputs / out_scale**2,
            self.taps,
        )


def check_strengths(l2: float, entropy: float, positions: float) -> None:
    """Require weights of the terms, and a number of positions, that mean something.

    Raises
    ------
    InvalidInput
        One is out of range.
    """
    if not (0 < l2 <= _STRONGEST and 0 <= entropy <= _STRONGEST):
        raise InvalidInput(
            f"l2={l2} and entropy={entropy}: l2 must be above 0, entropy 0 or more, neither above "
            f"{_STRONGEST}"
        )
    if positions < 1:
        raise InvalidInput(f"positions={positions}: draw at least one position of every image")


@dataclass(frozen=True, slots=True)
class Fit:
    """The minimum found."""

    weights: Floats
    """``w``, exact zeros for the dropped channels, ``(C,)``."""
    kernels: tuple[Floats, ...]
    """``L D(w)``, the new weight matrix of each reader, ``(m, n)``."""
    objective: float
    gap: float
    """How far from stationary: what moving all of ``w`` to the best kept channel would gain to
    first order, as a share of the objective."""
    evaluations: int
    """Times that the objective was computed."""

    @property
    def converged(self) -> bool:
        """Whether the gap is small enough to speak of a minimum."""
        return self.gap <= _STATIONARY


def fit(
    *readers: Moments,
    l2: float,
    entropy: float,
    sign: int = 1,
    most: int | None = None,
    iterations: int = 500,
) -> Fit:
    """Minimise the objective over ``w``; then remove channels while that lowers it further.

    ``readers`` are the layers that read the same channels, one or several; errors count equally
    where their outputs have the same scale. With ``most``, removal goes on until no more than so
    many channels are left, the one that costs least first. Each descent is L-BFGS on
    ``w = v^2/|v|^2``, of at most ``iterations`` steps. One evaluation costs ``O(n^3 + m n^2)`` for
    each reader, in the inputs left; a minimum takes some tens of them.

    Raises
    ------
    numpy.linalg.LinAlgError
        ``l2`` is 0 and the inputs are linearly dependent.
    """
    largest = max(len(moments.inputs) for moments in readers)
    with threadpool_limits(1 if largest < _SMALL else None, "blas"):
        own = tuple(_Reader(moments, l2 / len(moments.inputs)) for moments in readers)
        problem = _Problem(own, sign * entropy)
        weights = 1 + _TILT * np.linspace(1, 0, readers[0].channels)
        evaluations = 0
        while True:
            weights, count = problem.descend(weights / weights.sum(), iterations)
            evaluations += count
            objective, gap = problem.state(weights)
            removed = problem.removals(weights, objective, most)
            if not len(removed):
                kernels = tuple(reader.kernel(weights) for reader in own)
                return Fit(weights, kernels, objective, gap, evaluations)
            weights[removed] = 0


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


def _solve(inputs: Floats, cross: Floats, scale: Floats, ridge: float) -> Floats:
    """Return ``B D (D G D + ridge I)^-1``."""
    solved: Floats = cho_solve(_factor(inputs, scale, ridge), (cross * scale).T).T
    return solved


def _factor(inputs: Floats, scale: Floats, ridge: float) -> tuple[Floats, bool]:
    system = scale[:, None] * inputs * scale
    system[np.diag_indices_from(system)] += ridge
    factor: tuple[Floats, bool] = cho_factor(system, overwrite_a=True)
    return factor


@dataclass(frozen=True, slots=True)
class _Reader:
    """The error and the ridge of one layer as functions of ``w``, with the best ``L`` of each."""

    moments: Moments
    ridge: float

    def loss(self, weights: Floats, left: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
        """Return error and ridge, and the gradient in the weights that are left.

        By the envelope theorem the gradient is that of a fixed ``L``:
        ``2/m sum_taps ((L D G - B) L)``.
        """
        inputs, cross, scale = self._on(weights, left)
        linear = _solve(inputs, cross, scale, self.ridge)
        explained = float((cross * scale * linear).sum())
        residual = (linear * scale) @ inputs - cross
        gradient = 2 * (residual * linear).sum(0).reshape(-1, self.moments.taps).sum(1)
        return (self.moments.outputs - explained) / len(cross), gradient / len(cross)

    def rises(self, weights: Floats) -> Floats:
        """Return by how much the loss rises at most when each channel left is removed.

        Without channel ``c`` the best ``L`` costs ``tr(L_c [S^-1]_cc^-1 L_c') / m`` more, with
        ``S = D G D + ridge``; scaling up the weights that stay lowers it again.
        """
        left, taps = weights > 0, self.moments.taps
        inputs, cross, scale = self._on(weights, left)
        factor = _factor(inputs, scale, self.ridge)
        linear = cho_solve(factor, (cross * scale).T)
        inverse = cho_solve(factor, np.eye(len(inputs)))
        channels = np.arange(left.sum())
        blocks = inverse.reshape(len(channels), taps, -1, taps)[channels, :, channels]
        rows = linear.reshape(len(channels), taps, -1)
        rise: Floats = (rows * np.linalg.solve(blocks, rows)).sum((1, 2)) / len(cross)
        return rise

    def kernel(self, weights: Floats) -> Floats:
        """Return ``L D(w)``, zero for the channels that are dropped."""
        left = weights > 0
        inputs, cross, scale = self._on(weights, left)
        kernel = np.zeros_like(self.moments.cross)
        taps = np.repeat(left, self.moments.taps)
        kernel[:, taps] = _solve(inputs, cross, scale, self.ridge) * scale
        return kernel

    def _on(self, weights: Floats, left: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Return ``G``, ``B`` and the diagonal of ``D`` on the channels that are left."""
        taps = np.repeat(left, self.moments.taps)
        scale = np.repeat(weights[left], self.moments.taps)
        return self.moments.inputs[np.ix_(taps, taps)], self.moments.cross[:, taps], scale


@dataclass(frozen=True, slots=True)
class _Problem:
    """The objective of all readers as a function of ``w``."""

    readers: tuple[_Reader, ...]
    entropy: float
    """Factor of ``H(w)``, its sign included."""

    def descend(self, start: Floats, iterations: int) -> tuple[Floats, int]:
        """Return a vector of lower value on the face of ``start``, and the evaluations it took."""
        left = start > 0
        scale = abs(self.value(start, left)[0]) or 1.0

        def sphere(v: Floats) -> tuple[float, Floats]:
            square = v @ v
            weights = np.zeros_like(start)
            weights[left] = v * v / square
            value, gradient = self.value(weights, left)
            slope = 2 * v / square * (gradient - weights[left] @ gradient)
            return value / scale, slope / scale

        found = minimize(
            sphere,
            np.sqrt(start[left]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "ftol": 1e-15, "gtol": 0.0, "maxcor": 20},
        )
        weights = np.zeros_like(start)
        weights[left] = found.x**2
        weights[weights <= _THRESHOLD * weights.sum() / len(weights)] = 0
        return weights / weights.sum(), int(found.nfev) + 1

    def value(self, weights: Floats, left: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
        """Return the objective, and its gradient in the weights that are left."""
        losses, gradients = zip(*(one.loss(weights, left) for one in self.readers), strict=True)
        logs = np.log(np.maximum(weights[left], 1e-300))
        value = sum(losses) / len(losses) - self.entropy * weights[left] @ logs
        return float(value), sum(gradients) / len(losses) - self.entropy * (logs + 1)

    def state(self, weights: Floats) -> tuple[float, float]:
        """Return the objective and the gap of a minimum."""
        left = weights > 0
        value, gradient = self.value(weights, left)
        return value, float(weights[left] @ gradient - gradient.min()) / (abs(value) or 1.0)

    def removals(self, weights: Floats, objective: float, most: int | None) -> npt.NDArray[np.intp]:
        """Return the channels to remove next: the one that pays, or those that are too many."""
        left = np.flatnonzero(weights)
        if len(left) == 1:
            return left[:0]
        cheapest = left[np.argsort(self._costs(weights), kind="stable")]
        if most is not None and len(left) > most:
            # A quarter of the surplus at a time: what the others cost changes by it.
            return cheapest[: -(-(len(left) - most) // 4)]
        without = [self._without(weights, channel) for channel in cheapest[:_TRIED]]
        pays = min(without) < objective - _PROFIT * abs(objective)
        return cheapest[[int(np.argmin(without))]] if pays else left[:0]

    def _without(self, weights: Floats, channel: int) -> float:
        """Return the objective after a channel is removed and the rest is scaled up."""
        rest = weights.copy()
        rest[channel] = 0
        return self.value(rest / rest.sum(), rest > 0)[0]

    def _costs(self, weights: Floats) -> Floats:
        """Return by how much the objective rises at most when each channel left is removed."""
        left = weights > 0
        rise = sum(reader.rises(weights) for reader in self.readers) / len(self.readers)
        kept = weights[left]
        information = -float(kept @ np.log(kept))
        rest = np.maximum(1 - kept, 1e-300)
        without = (information + kept * np.log(kept)) / rest + np.log(rest)
        costs: Floats = rise + self.entropy * (without - information)
        return costs
