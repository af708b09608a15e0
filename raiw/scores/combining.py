"""Several importance scores made one: a weighted sum, after each has been put on a common scale.

Gradients and magnitudes have other units, and their sizes differ by orders between layers. So every
score is normalised in every layer before it is added.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidImportance, InvalidInput
from raiw.graphs import Floats
from raiw.names import clipped, find, listed
from raiw.scores import COMBINING_REVISION, NORMALISATIONS
from raiw.scores.importance import STORED, ScoreFile
from raiw.scores.network_scores import NetworkScores

Arrays = Mapping[str, Any]
_RANK = 2


def by_sum(values: Floats) -> Floats:
    """Divide by the sum of magnitudes: every score distributes the same total over a layer.

    >>> by_sum(np.array([3.0, -1.0])).tolist()
    [0.75, -0.25]
    """
    scaled = _scaled(values)
    shares: Floats = scaled / (np.abs(scaled).sum() or 1)
    return shares


def by_std(values: Floats) -> Floats:
    """Divide by the standard deviation of the layer: what counts is how far scores lie apart.

    >>> by_std(np.array([1.0, 3.0])).tolist(), by_std(np.array([0.1, 0.1, 0.1])).tolist()
    ([1.0, 3.0], [0.0, 0.0, 0.0])
    """
    scaled = _scaled(values)
    apart: Floats = scaled / (scaled.std() if _differ(scaled) else np.inf)
    return apart


def by_rank(values: Floats) -> Floats:
    """Replace by ranks from 0 to 1, equal ones by their mean: only the order counts.

    >>> by_rank(np.array([5.0, 100.0, 5.0])).tolist()
    [0.25, 1.0, 0.25]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts + 1) / 2) / max(values.size - 1, 1)
    return ranks[place].reshape(values.shape)


_NORMALISERS: dict[str, Callable[[Floats], Floats]] = dict(
    zip(NORMALISATIONS, (by_sum, by_rank, by_std), strict=True)
)


def combine(
    scores: Sequence[str | Path | Arrays],
    weights: Sequence[float] | None = None,
    *,
    normalise: str = NORMALISATIONS[0],
) -> NetworkScores:
    r"""Return the weighted sum of several importance scores, normalised layer by layer.

    .. math:: S_\ell = \sum_k w_k \, N(S^k_\ell)

    with ``N`` one of ``sum`` (:math:`S / \sum |S|`), ``rank`` (ranks from 0 to 1) and ``std``
    (:math:`S / \operatorname{std} S`). An edge that one of them scores ``-inf``, which means
    never, keeps that score. Computed in float64 in the order given; a sort of each layer for
    ``rank``, one pass for the others. Scores that are all equal in a layer have no say there, and
    are named in a warning.

    Parameters
    ----------
    scores
        Importance files as ``raiw score`` writes them, or arrays ``(out, in/groups)`` by layer.
    weights
        One finite number for each; left out, all count alike and sum to 1.
    normalise
        A name of :data:`raiw.scores.NORMALISATIONS`.

    Raises
    ------
    InvalidInput
        There are no scores, or not as many weights, or one is not finite or too large; the name
        of the normalisation is unknown.
    InvalidImportance
        The scores are not of the same layers and shapes, or one is NaN or +inf.
    NotFound
        There is no such file.

    Examples
    --------
    >>> a, b = {"fc": np.array([[1.0, 3.0]])}, {"fc": np.array([[20.0, 0.0]])}
    >>> combine([a, b], [0.5, 0.5])["fc"].tolist()
    [[0.625, 0.375]]
    """
    if not scores:
        raise InvalidInput("there are no scores to combine: give at least one")
    shares = [1 / len(scores)] * len(scores) if weights is None else [*weights]
    if len(shares) != len(scores):
        raise InvalidInput(
            f"{len(scores)} scores and {len(shares)} weights: give one weight for each"
        )
    terms = [
        _term(share, source, number)
        for number, (share, source) in enumerate(zip(shares, scores, strict=True), start=1)
    ]
    return NetworkScores(
        weighted_sum([(share, name, arrays) for share, name, arrays, _ in terms], normalise),
        {
            "method": "combined",
            "revision": COMBINING_REVISION,
            "options": {"normalise": normalise},
            "terms": [{"weight": share, "scores": origin} for share, _, _, origin in terms],
        },
    )


def weighted_sum(
    terms: Sequence[tuple[float, str, Arrays]], normalise: str
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the sum of ``weight * N(scores)`` for terms of weight, name and arrays.

    Raises
    ------
    InvalidInput, InvalidImportance
        As :func:`combine` says.
    """
    normaliser = find(normalise, _NORMALISERS, "normalisation")
    first = terms[0]
    for term in terms:
        if not math.isfinite(term[0]):
            raise InvalidInput(f"the weight of {term[1]} is {term[0]}: give a finite number")
        _require_same_layers(first, term)
    silent: dict[str, list[str]] = {}
    made = {}
    for layer in first[2]:
        total = np.zeros(np.shape(first[2][layer]))
        for weight, name, arrays in terms:
            values = _checked(arrays[layer], layer, name)
            allowed = values[np.isfinite(values)]
            if allowed.size > 1 and not _differ(allowed):
                silent.setdefault(name, []).append(layer)
            part = np.full(values.shape, -np.inf)
            part[np.isfinite(values)] = weight * normaliser(allowed)
            total += part
        made[layer] = _single(total, layer)
    for name, layers in silent.items():
        warnings.warn(
            f"{name} says nothing about {len(layers)} of {len(made)} layers, where its scores are "
            f"all equal: {listed(layers)}; the others decide there",
            stacklevel=3,
        )
    return made


def _term(
    weight: float, source: str | Path | Arrays, number: int
) -> tuple[float, str, Arrays, Any]:
    """Return weight, name, arrays and origin of scores."""
    if isinstance(source, Mapping):
        name = f"score {number}"
        return weight, name, source, getattr(source, "provenance", None) or name
    file = ScoreFile(Path(source))
    for tensor in file.header.tensors.values():
        if tensor.dtype not in STORED:
            raise InvalidImportance(
                f"{source}: tensor {tensor.name!r} is of type {tensor.dtype}; scores are of "
                f"{', '.join(STORED)}",
                layer=tensor.name,
            )
    arrays = {tensor.name: file.read(tensor) for tensor in file.header.tensors.values()}
    return weight, file.name, arrays, file.provenance or file.digest


def _require_same_layers(
    first: tuple[float, str, Arrays], other: tuple[float, str, Arrays]
) -> None:
    (_, name, one), (_, other_name, two) = first, other
    for layers, owner, lacks in ((one, name, other_name), (two, other_name, name)):
        if missing := [layer for layer in layers if layer not in (two if layers is one else one)]:
            raise InvalidImportance(
                f"{lacks} has no scores of {listed(missing)}, which {owner} has: combine scores of "
                f"one network",
                layer=missing[0],
            )
    for layer, values in one.items():
        if np.shape(values) != np.shape(two[layer]):
            raise InvalidImportance(
                f"layer {clipped(layer)!r}: {name} has the shape {np.shape(values)} and "
                f"{other_name} {np.shape(two[layer])}: combine scores of one network",
                layer=layer,
            )


def _checked(values: Any, layer: str, name: str) -> Floats:
    exact: Floats = np.asarray(values, np.float64)
    if exact.ndim != _RANK:
        raise InvalidImportance(
            f"layer {clipped(layer)!r}: {name} has the shape {exact.shape}; scores to combine are "
            f"of edges, (out, in/groups), as raiw score writes them",
            layer=layer,
        )
    if np.isnan(exact).any() or np.isposinf(exact).any():
        raise InvalidImportance(
            f"layer {clipped(layer)!r}: {name} holds NaN or +inf; scores are numbers, or -inf for "
            f"never",
            layer=layer,
        )
    return exact


def _single(total: Floats, layer: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(total, np.float32)
    if (np.isinf(single) & np.isfinite(total)).any() or np.isposinf(total).any():
        raise InvalidInput(
            f"layer {clipped(layer)!r}: the weighted sum is too large for float32: give weights "
            f"of ordinary size"
        )
    return single


def _differ(values: Floats) -> bool:
    return values.size > 0 and bool(values.min() < values.max())


def _scaled(values: Floats) -> Floats:
    """Divide by a power of two, so that no sum overflows and no digit is lost."""
    exponent = np.frexp(np.abs(values).max(initial=0))[1]
    scaled: Floats = np.ldexp(values, -exponent)
    return scaled
