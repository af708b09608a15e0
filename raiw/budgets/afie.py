"""Average filter information entropy: how much of each layer to prune, from its weights' spectrum.

Source: Entropy Induced Pruning Framework for Convolutional Neural Networks, AAAI 2024.
After the scaling of step 3 the entropy lies between ``log p - 0.1233`` and ``log p``, so the score
of a layer is nearly ``log(min(in, out)) / out``, whatever its weights: compare with
:func:`shape_score` before reading importance into it.
"""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from raiw.budgets.methods import PRUNED
from raiw.errors import InvalidInput

CAP = 0.99
"""No layer loses more than this share of its filters."""
EVERY_LAYER = "layers='all' prunes linear layers too, which the paper does not"
"""What to do where there are no convolutions."""


def only_convolutions(layers: str) -> bool:
    """Return whether ``layers``, one of :data:`PRUNED`, leaves linear layers as they are.

    Raises
    ------
    InvalidInput
        It is none of them.
    """
    if layers not in PRUNED:
        raise InvalidInput(f"layers={layers!r} is no choice: give {' or '.join(map(repr, PRUNED))}")
    return layers != "all"


def afie_score(weight: npt.NDArray[np.floating]) -> float | None:
    """Return the average filter information entropy of a layer, in nats for each filter.

    The kernel taps of ``weight`` ``(out, in/groups, *kernel)`` are averaged; ``s`` are the ``p``
    singular values of the resulting matrix::

        z_i = (s_i - min s) / (max s - min s)
        q = softmax(z)
        AFIE = -sum q_i log q_i / out

    None where the spectrum has one value, which orders nothing. Costs one singular value
    decomposition, ``O(out · in · min(out, in))``.

    >>> import numpy as np
    >>> round(afie_score(np.random.default_rng(0).normal(size=(64, 3, 3, 3))), 3)
    0.016
    """
    matrix = np.asarray(weight, np.float64)
    matrix = matrix.reshape(*matrix.shape[:2], -1).mean(axis=2)
    singular = np.linalg.svd(matrix, compute_uv=False)
    if len(singular) == 1:
        return None
    spread = singular[0] - singular[-1]
    scaled = (singular - singular[-1]) / spread if spread > 0 else np.zeros_like(singular)
    share = np.exp(scaled) / np.exp(scaled).sum()
    return float(-(share * np.log(share)).sum() / matrix.shape[0])


def shape_score(outputs: int, inputs: int) -> float:
    """Return ``log(min(in, out)) / out``: the score a layer of equal singular values has."""
    return math.log(min(outputs, inputs)) / outputs


def allocate(
    scores: Mapping[str, float | None], filters: Mapping[str, int], sparsity: float
) -> dict[str, float]:
    """Return each layer's share of filters to prune, least where the score is largest.

    ``lambda_l = min(lambda_min · max score / score_l, 0.99)``, with ``lambda_min`` such that the
    shares remove ``sparsity`` of all filters. The paper leaves open whether ``lambda_min`` is
    solved again once a layer reaches the cap; here it is. A layer without a score gets
    ``lambda_min``, like the layer of the largest.

    Parameters
    ----------
    scores
        AFIE by layer name, from :func:`afie_score`.
    filters
        Number of filters by layer name.
    sparsity
        Share of all filters to remove, from 0 to 0.99.

    Raises
    ------
    InvalidInput
        ``sparsity`` is out of range.
    """
    if not 0 <= sparsity <= CAP:
        raise InvalidInput(
            f"a channel sparsity of {sparsity} cannot be met: give 0 to {CAP}, because every "
            f"layer keeps at least 1 % of its filters"
        )
    known = [score for score in scores.values() if score is not None]
    largest = max(known, default=1.0)
    steepness = {name: largest / (score or largest) for name, score in scores.items()}
    smallest = _smallest_share(steepness, filters, sparsity)
    return {name: min(smallest * steep, CAP) for name, steep in steepness.items()}


def _smallest_share(
    steepness: Mapping[str, float], filters: Mapping[str, int], sparsity: float
) -> float:
    """Solve ``sum filters · min(share · steepness, cap) = sparsity · sum filters``."""
    wanted = sparsity * sum(filters.values())
    capped = 0.0
    open_slope = math.fsum(filters[name] * steep for name, steep in steepness.items())
    for name in sorted(steepness, key=lambda name: (-steepness[name], name)):
        share = (wanted - capped) / open_slope
        if share * steepness[name] <= CAP:
            return share
        capped += CAP * filters[name]
        open_slope -= filters[name] * steepness[name]
    return CAP


def whole_channels(
    shares: Mapping[str, float],
    channels: Mapping[str, int],
    filters: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Round shares to numbers of channels, leaving every layer at least one.

    The filters that go come as near to the sum of the shares as whole channels allow; the largest
    remainders are rounded up, the first layer first among equal ones. The paper states no rule.

    Parameters
    ----------
    filters
        Filters that make a layer's channels, where layers are added and each channel has several;
        left out, one for each.
    """
    exact = {name: Fraction(share) * channels[name] for name, share in shares.items()}
    removed = {name: min(math.floor(value), channels[name] - 1) for name, value in exact.items()}
    price = {name: Fraction((filters or channels)[name], channels[name]) for name in exact}
    missing = sum(price[name] * (exact[name] - removed[name]) for name in exact)
    order = {name: place for place, name in enumerate(exact)}
    for name in sorted(exact, key=lambda name: (removed[name] - exact[name], order[name])):
        if 2 * missing >= price[name] and removed[name] < channels[name] - 1:
            removed[name] += 1
            missing -= price[name]
    return removed
