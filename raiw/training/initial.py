"""Where a run from scratch starts: the network's own random weights, as large as its masks need."""

import numpy as np
import torch
from torch import nn

from raiw.applying.places import find_places
from raiw.masks import MaskSet
from raiw.nets.registry import build


def initialised(network: str, masks: MaskSet | None, seed: int) -> nn.Module:
    """Return a network of the catalogue, drawn by ``seed``.

    Initialisations expect every input to be there. An output that keeps k of n inputs would start
    with a variance of k/n of what they aim at, and deep networks without normalisation would not
    learn; its weights are multiplied by sqrt(n/k). Source: Evci et al., Gradient Flow in Sparse
    Neural Networks and How Lottery Tickets Win, AAAI 2022.

    Raises
    ------
    NotFound
        There is no such network.
    InvalidInput
        A mask does not fit it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(network)
    for place in find_places(model, masks, strict=True) if masks else ():
        kept = place.kept.reshape(len(place.kept), -1)
        scale = np.sqrt(kept.shape[1] / np.maximum(kept.sum(1), 1)).astype(np.float32)
        with torch.no_grad():
            place.weight.mul_(torch.from_numpy(scale).reshape(-1, *[1] * (place.kept.ndim - 1)))
    return model
