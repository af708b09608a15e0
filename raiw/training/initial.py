"""Where a run from scratch starts: random weights, as large as what is missing asks for.

Initialisations expect every input to be there. An output that keeps k of n inputs would start with
a variance of k/n of what they aim at, and deep networks without normalisation would not learn; its
weights are multiplied by sqrt(n/k). Source: Evci et al., Gradient Flow in Sparse Neural Networks
and How Lottery Tickets Win, AAAI 2022.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import numpy as np
import torch
from torch import nn

from raiw.applying.places import find_places
from raiw.masks import MaskSet
from raiw.nets.networks import find_network
from raiw.readers.modules import ModuleLayer, read_module


def initialised(network: str, masks: MaskSet | None, seed: int) -> nn.Module:
    """Return a network by its name, drawn by ``seed`` and scaled to its masks.

    Raises
    ------
    NotFound, MissingExtra, InvalidNetwork
        There is no such network, or it cannot be built.
    InvalidInput
        A mask does not fit it.
    """
    model = drawn(lambda: find_network(network).build({}), seed)
    scale_to_masks(model, masks)
    return model


def drawn(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return what ``build`` does, all that it draws at random being decided by ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


@torch.no_grad()
def scale_to_masks(model: nn.Module, masks: MaskSet | None) -> None:
    """Scale the weights of each output to the inputs that its mask leaves it.

    Raises
    ------
    InvalidInput
        A mask does not fit.
    """
    for place in find_places(model, masks, strict=True) if masks else ():
        kept = place.kept.reshape(len(place.kept), -1)
        scale = np.sqrt(kept.shape[1] / np.maximum(kept.sum(1), 1)).astype(np.float32)
        place.weight.mul_(torch.from_numpy(scale).reshape(-1, *[1] * (place.kept.ndim - 1)))


def fans(model: nn.Module) -> dict[str, float]:
    """Return how many input vertices an output of each layer has."""
    return {layer.name: _fan(layer) for layer in read_module(model) if not layer.computed}


@torch.no_grad()
def scale_to_fans(model: nn.Module, before: Mapping[str, float]) -> None:
    """Scale the weights of layers that have lost inputs, of which they had ``before``."""
    for layer in read_module(model):
        if layer.name in before and _fan(layer) < before[layer.name]:
            layer.weight.mul_(sqrt(before[layer.name] / _fan(layer)))


def _fan(layer: ModuleLayer) -> float:
    if layer.inputs_first:
        return float(layer.weight.shape[0] / layer.groups)
    return float(layer.weight.shape[1])
