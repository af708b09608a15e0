"""Initial weights of a sparse network: random, and scaled up for the inputs that are missing.

Initialisations assume that every input is there. An output that keeps k of n inputs would start
with k/n of the intended variance, and deep networks without normalisation would not learn, so its
weights are multiplied by sqrt(n/k). Source: Evci et al., Gradient Flow in Sparse Neural Networks
and How Lottery Tickets Win, AAAI 2022.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import numpy as np
import torch
from torch import nn

from raiw.applying.places import find_places
from raiw.layouts import by_weight
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
    """Return what ``build`` returns, with its random draws decided by ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


@torch.no_grad()
def scale_to_masks(model: nn.Module, masks: MaskSet | None) -> None:
    """Scale the weights of each output by the inputs that its mask leaves.

    Raises
    ------
    InvalidInput
        A mask does not fit.
    """
    if masks is None:
        return
    for place in find_places(model, masks, strict=True):
        mask = masks[place.layer]
        kept = mask.numpy()
        scale = np.sqrt(kept.shape[1] / np.maximum(kept.sum(1), 1)).astype(np.float32)
        edges = np.broadcast_to(scale[:, np.newaxis], kept.shape)
        factors = by_weight(edges, mask.groups, inputs_first=mask.layer.transposed)
        place.weight[place.where] *= torch.tensor(factors).reshape(place.kept.shape)


def fans(model: nn.Module) -> dict[str, float]:
    """Return how many input vertices an output of each layer has."""
    return {layer.name: _fan(layer) for layer in read_module(model)}


@torch.no_grad()
def scale_to_fans(model: nn.Module, before: Mapping[str, float]) -> None:
    """Scale the weights of layers that have lost inputs, of which they had ``before``."""
    for layer in read_module(model):
        if layer.name in before and _fan(layer) < before[layer.name]:
            layer.weight[layer.where] *= sqrt(before[layer.name] / _fan(layer))


def _fan(layer: ModuleLayer) -> float:
    first, second = layer.own(layer.weight).shape[:2]
    return float(first / layer.groups if layer.inputs_first else second)
