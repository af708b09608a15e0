"""Pruning by AFIE: the number of filters from the spectrum, the filters from a rule of ours.

AFIE gives all filters of a layer the same score, and its paper does not say which of them go.
``within="l1"`` removes those of smallest ``sum |w|``, ``within="random"`` draws them.
"""

import numpy as np
from torch import nn

from raiw.budgets.afie import (
    EVERY_LAYER,
    afie_score,
    allocate,
    only_convolutions,
    whole_channels,
)
from raiw.crafting.randomness import Stream
from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.pruning.groups import Group, layer_of
from raiw.pruning.prunable import (
    PrunableModel,
    Selection,
    check_sparsity,
    filter_norms,
    out_first,
    remove_lowest,
    spread,
)


def select(
    network: PrunableModel, *, channel_sparsity: float, within: str, layers: str, seed: int
) -> Selection:
    """Keep the filters that AFIE's allocation leaves to each layer.

    Layers whose channels are added are one layer of the allocation: with all their filters, since
    each loses as many, and their largest score.

    Raises
    ------
    InvalidInput
        ``within`` is neither ``l1`` nor ``random``, ``layers`` neither ``convolutions`` nor
        ``all``, or there is no such layer.
    """
    check_sparsity(channel_sparsity)
    if within not in ("l1", "random"):
        raise InvalidInput(f"within={within!r} is not a rule: give 'l1' or 'random'")
    groups = _chosen(network, layers)
    channels = {group.name: group.size for group in groups}
    filters = {group.name: sum(len(one.indices) for one in group.filters) for group in groups}
    scores = {group.name: _score(group) for group in groups}
    shares = allocate(scores, filters, channel_sparsity)
    removed = whole_channels(shares, channels, filters)
    kept = {
        group.name: remove_lowest(
            group,
            filter_norms(group) if within == "l1" else _random_order(group, seed),
            removed[group.name],
        )
        for group in groups
    }
    facts = {
        name: {"afie": score, "share": shares[name]}
        for name, score in scores.items()
        if score is not None
    }
    return Selection(spread(groups, kept), facts)


def _chosen(network: PrunableModel, layers: str) -> list[Group]:
    """Return the groups of convolutions, or all of them."""
    convolutions = only_convolutions(layers)
    groups = [
        group
        for group in network.prunable
        if not convolutions or all(_convolves(member.module) for member in group.filters)
    ]
    if not groups:
        raise InvalidInput(f"no convolution can lose filters; {EVERY_LAYER}")
    return groups


def _convolves(module: nn.Module) -> bool:
    layer = layer_of(module)
    return layer is not None and layer.kind.startswith("conv")


def _random_order(group: Group, seed: int) -> Floats:
    """Return the ranks of 64-bit words of the layer's Philox stream."""
    words = np.random.Philox(key=Stream(seed, group.name, 0).key).random_raw(group.size)
    return np.argsort(np.argsort(words, kind="stable")).astype(np.float64)


def _score(group: Group) -> float | None:
    scores = [afie_score(out_first(member.module)) for member in group.filters]
    return max((score for score in scores if score is not None), default=None)
