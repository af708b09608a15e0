"""Entropic sparsification on digits: accuracy against sparsity, and the channels' probabilities.

The paper's networks are LeNet on MNIST, VGG-16 and ResNet-18 on CIFAR-10.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raiw.graphs import Floats
from raiw.importance.regression import Moments, fit
from raiw.pictures.drawing import headed
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import MARKERS, Look
from raiw.pictures.panels import panels
from raiw.pruning.prune import prune
from raiw.reproduction.digits import DATA, NETWORK, one_thread, trained
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, uncompared
from raiw.training.testing import accuracy

_ENTROPIES = (0.0, 0.003, 0.03)
"""Weights of the entropy term."""
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_LAYER, _KERNEL, _RIDGE = "conv3", 3, 1e-3
"""Whose probabilities are drawn, its kernel's side, and with which ridge."""
_MOST_LOST = 0.005
"""The largest drop that the paper's summary names."""
_WHY = f"{NETWORK} on {DATA}, without training after; the paper's is LeNet on MNIST"


@dataclass(frozen=True, slots=True)
class SparsityPoint:
    """The network after entropic sparsification, not trained again."""

    entropy: float
    ridge: float
    sparsity: float
    """Share of the weights that is gone."""
    accuracy: float
    """On the test images."""


@cache
def sparsified() -> tuple[SparsityPoint, ...]:
    """Return the networks that each pair of options leaves."""
    run = trained()
    images = run.samples()
    found = []
    with one_thread():
        for entropy in _ENTROPIES:
            for ridge in _RIDGES:
                pruned = prune(
                    run.model, images[:1], "entropic", data=[images], l2=ridge, entropy=entropy
                )
                sparsity = 1 - pruned.weights / pruned.dense_weights
                reached = accuracy(pruned.smaller, run.dataset)
                found.append(SparsityPoint(entropy, ridge, sparsity, reached))
    return tuple(found)


def probabilities(entropy: float) -> Floats:
    """Return the probability of each input channel of a layer, by its regression on its inputs."""
    with one_thread():
        moments = _moments()
    weights: Floats = fit(moments, l2=_RIDGE, entropy=entropy).weights
    return weights


@cache
def _moments() -> Moments:
    """Return the second moments of a layer's patches and outputs, scaled as the pruning does."""
    run = trained()
    layer = run.model.get_submodule(_LAYER)
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, given, made: seen.extend((given[0], made)))
    with torch.no_grad():
        run.model(run.samples())
    hook.remove()
    inputs, outputs = seen
    columns = functional.unfold(inputs, _KERNEL, padding=_KERNEL // 2)
    z, y = _unit(columns.movedim(1, 2).flatten(0, 1)), _unit(outputs.movedim(1, 3).flatten(0, 2))
    return Moments(z.T @ z / len(z), y.T @ z / len(z), float((y**2).sum() / len(y)), _KERNEL**2)


def _unit(samples: Tensor) -> Floats:
    """Return samples about their mean, in units of their deviation."""
    values: Floats = samples.double().numpy()
    values -= values.mean(0)
    values /= np.sqrt(np.mean(values**2))
    return values


def entropic_sparsity() -> list[Row]:
    """Return the largest sparsity within the printed drop of accuracy, and without it."""
    dense = trained().accuracies[-1]
    kept = [net for net in sparsified() if dense - net.accuracy <= _MOST_LOST]
    best = max(kept, key=lambda net: net.sparsity)
    most = max(sparsified(), key=lambda net: net.sparsity)
    return [
        uncompared(
            "largest sparsity with a drop of 0.5% at most",
            "55-84%",
            f"{best.sparsity:.0%}, drop {100 * (dense - best.accuracy):.2f}%",
            _WHY,
        ),
        uncompared(
            "largest sparsity tried",
            "",
            f"{most.sparsity:.0%}, drop {100 * (dense - most.accuracy):.2f}%",
            _WHY,
        ),
        *(
            uncompared(
                f"{_LAYER}, input channels left with entropy term {entropy:g}",
                "",
                f"{int((probabilities(entropy) > 0).sum())} of {len(probabilities(entropy))}",
                _WHY,
            )
            for entropy in _ENTROPIES
        ),
    ]


def draw_entropic_sparsity() -> list[Picture]:
    """Draw accuracy against sparsity, and the probabilities of one layer's channels."""
    run = trained()
    looks = [Look(f"series-{place + 1}", MARKERS[place]) for place in range(len(_ENTROPIES))]
    names = [f"entropy term {entropy:g}" for entropy in _ENTROPIES]
    ranked = [np.sort(probabilities(entropy))[::-1] for entropy in _ENTROPIES]
    drawings = [
        line_chart(
            [
                Line(
                    name=name,
                    points=[
                        (100 * net.sparsity, 100 * net.accuracy)
                        for net in sparsified()
                        if net.entropy == entropy
                    ],
                    look=look,
                    marked=True,
                )
                for entropy, name, look in zip(_ENTROPIES, names, looks, strict=True)
            ],
            x="weights removed, %",
            y=f"test accuracy, %; dense {run.accuracies[-1]:.1%}",
            title="Accuracy without training after",
            description=" ".join(
                f"{net.sparsity:.0%} removed: {net.accuracy:.1%}." for net in sparsified()
            ),
        ),
        line_chart(
            [
                Line(
                    name=name,
                    points=[(float(rank), float(w)) for rank, w in enumerate(weights, 1) if w > 0],
                    look=look,
                    marked=True,
                )
                for weights, name, look in zip(ranked, names, looks, strict=True)
            ],
            x=f"input channels of {_LAYER}, most probable first",
            y=f"probability w, logarithmic; ridge {_RIDGE:g}",
            title="Probabilities of channels",
            description=" ".join(
                f"{name}: {int((weights > 0).sum())} of {len(weights)} channels left."
                for weights, name in zip(ranked, names, strict=True)
            ),
            logarithmic="y",
            whole=True,
        ),
    ]
    return [
        Picture.of(
            "entropic-sparsity",
            panels([[headed(each, each.title) for each in drawings]], title="Sparsification"),
            _records(),
            "Entropic sparsification of a network trained on digits",
            f"{NETWORK} on {DATA}, seed 0: not the paper's networks and data. Points of a line "
            f"differ in the ridge, {_RIDGES[0]:g} to {_RIDGES[-1]:g}.",
        )
    ]


def _records() -> list[DataRow]:
    networks: list[DataRow] = [
        _record("network", net.entropy, net.ridge, sparsity=net.sparsity, accuracy=net.accuracy)
        for net in sparsified()
    ]
    channels = [
        _record(f"{_LAYER}, channel {channel}", entropy, _RIDGE, probability=float(w))
        for entropy in _ENTROPIES
        for channel, w in enumerate(probabilities(entropy))
    ]
    return [*networks, *channels]


def _record(what: str, entropy: float, ridge: float, **numbers: float) -> DataRow:
    shown = {name: round(value, 6) for name, value in numbers.items()}
    columns = dict.fromkeys(("sparsity", "accuracy", "probability"), "")
    return {"what": what, "entropy_term": entropy, "ridge": ridge, **columns, **shown}
