"""Cheap signs of how well a sparse network would learn, read off it before any training.

=============  ===================================================================================
``kept``       kept importance: share of a layer's scores that its mask keeps, mean over layers
``entropy``    minus the entropy gap to the dense layer, nats, mean over layers
``paths``      logarithm of the number of paths from inputs to outputs, taps counted
``synflow``    logarithm of the synaptic flow: of the outputs, with magnitudes for weights and an
               input of ones
``afie``       average filter information entropy of the masked first weights, mean over layers
=============  ===================================================================================

Of each, more is thought to be better; a search tells how far that is true.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import stats
from torch import nn

from raiw.applying.places import find_places
from raiw.budgets.afie import afie_score
from raiw.graphs import Floats
from raiw.masks import MaskSet

PROXIES = ("kept", "entropy", "paths", "synflow", "afie")

Signs = dict[str, float | None]
"""A value by proxy; None where it has none, as the logarithm of no path."""


def signs_of(
    model: nn.Module, masks: MaskSet, scores: Mapping[str, Floats], shape: tuple[int, ...]
) -> Signs:
    """Return every proxy of a network as it was drawn, with its masks.

    Parameters
    ----------
    scores
        Importance by layer name, ``(out, in/groups)``, of the dense network.
    shape
        Shape of one input.
    """
    kept = [_kept(mask.numpy(), scores[mask.name]) for mask in masks.values()]
    gaps = [mask.stats.entropy_gap for mask in masks.values()]
    masked = _masked(model, masks, ones=False)
    entropies = [
        found
        for place in find_places(masked, masks, strict=True)
        if (found := afie_score(place.weight[place.where].detach().numpy())) is not None
    ]
    return {
        "kept": float(np.mean(kept)),
        "entropy": -float(np.mean(gaps)),
        "paths": _flow(_masked(model, masks, ones=True), shape),
        "synflow": _flow(masked, shape),
        "afie": float(np.mean(entropies)) if entropies else None,
    }


def order(found: Sequence[Signs]) -> list[int]:
    """Return the places of candidates, the best mean rank over all proxies first."""
    columns = [[_number(signs[name]) for signs in found] for name in PROXIES]
    ranks = np.mean([stats.rankdata(column) for column in columns], axis=0)
    return [int(place) for place in np.argsort(-ranks, kind="stable")]


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _kept(mask: np.ndarray, scores: Floats) -> float:
    positive = np.maximum(scores, 0).astype(np.float64)
    whole = positive.sum()
    return float((positive * mask).sum() / whole) if whole > 0 else float(mask.mean())


@torch.no_grad()
def _masked(model: nn.Module, masks: MaskSet, *, ones: bool) -> nn.Module:
    """Return a copy in double precision, with the masks on it; with ones, all weights are 1."""
    copied = copy.deepcopy(model).double().eval()
    for name, parameter in copied.named_parameters() if ones else ():
        parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    for place in find_places(copied, masks, strict=True):
        place.weight[place.where] *= torch.from_numpy(place.kept)
    return copied


@torch.no_grad()
def _flow(masked: nn.Module, shape: tuple[int, ...]) -> float | None:
    positive = copy.deepcopy(masked)
    for parameter in positive.parameters():
        parameter.abs_()
    flow = float(positive(torch.ones(1, *shape, dtype=torch.float64)).sum())
    return math.log(flow) if math.isfinite(flow) and flow > 0 else None
