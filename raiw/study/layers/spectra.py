"""AFIE of a network's layers over several states of its weights, beside that of the shapes alone.

Source: Entropy Induced Pruning Framework for Convolutional Neural Networks, AAAI 2024, which says
that scores are the same after one epoch as after training; :mod:`raiw.budgets.afie` says why.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from raiw.budgets.afie import afie_score, shape_score
from raiw.errors import InvalidInput
from raiw.names import listed
from raiw.pruning.groups import layer_of
from raiw.pruning.prunable import out_first


@dataclass(frozen=True, slots=True)
class LayerSpectrum:
    """The AFIE of one layer, in nats a filter."""

    layer: str
    scores: tuple[float, ...]
    """For each state of the weights."""
    shape: float
    """Of a layer of this shape whose singular values are equal."""

    @property
    def moved(self) -> float:
        """The largest distance of a score from the first, as a share of it."""
        return max(abs(score / self.scores[0] - 1) for score in self.scores)


@dataclass(frozen=True, slots=True)
class Spectra:
    """The AFIE of all layers that have one: those of one input or output have no spectrum."""

    states: tuple[str, ...]
    layers: tuple[LayerSpectrum, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-serialisable values."""
        layers = [{**asdict(layer), "moved": layer.moved} for layer in self.layers]
        return {"states": list(self.states), "layers": layers}


def afie_scores(model: nn.Module) -> dict[str, float]:
    """Return the AFIE of each linear layer and convolution of a network that has one."""
    scores = {
        name: afie_score(out_first(module))
        for name, module in model.named_modules()
        if layer_of(module) is not None
    }
    return {name: score for name, score in scores.items() if score is not None}


def spectra(states: Mapping[str, Mapping[str, float]], model: nn.Module) -> Spectra:
    """Return scores by layer, given scores by state as :func:`afie_scores` returns them.

    Raises
    ------
    InvalidInput
        There is no state, no layer that has a score, or the states are not of the model.
    """
    found = list(states.values())
    if not found or not found[0]:
        raise InvalidInput("no layer has a spectrum: give a network with a layer of two inputs")
    modules = dict(model.named_modules())
    for state, scores in states.items():
        if wrong := scores.keys() ^ found[0].keys():
            raise InvalidInput(f"state {state!r} is of another network: {listed(sorted(wrong))}")
    return Spectra(
        tuple(states),
        tuple(
            LayerSpectrum(
                name,
                tuple(scores[name] for scores in found),
                shape_score(*out_first(modules[name]).shape[:2]),
            )
            for name in found[0]
        ),
    )
