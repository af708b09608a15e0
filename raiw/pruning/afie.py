"""Pruning by AFIE: the number of filters from the spectrum, the filters from a rule of ours.

AFIE gives all filters of a layer the same score, and its paper does not say which of them go.
``within="l1"`` removes those of smallest ``sum |w|``, ``within="random"`` draws them.
"""

import numpy as np

from raiw.budgets.afie import afie_score, allocate, whole_filters
from raiw.crafting.randomness import Stream
from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.pruning.groups import Group
from raiw.pruning.prunable import (
    PrunableModel,
    Selection,
    check_sparsity,
    filter_norms,
    out_first,
    remove_lowest,
    spread,
)


def select(network: PrunableModel, *, channel_sparsity: float, within: str, seed: int) -> Selection:
    """Keep the filters that AFIE's allocation leaves to each layer.

    Layers whose channels are added are one layer of the allocation, with their largest score.

    Raises
    ------
    InvalidInput
        ``within`` is neither ``l1`` nor ``random``.
    """
    check_sparsity(channel_sparsity)
    if within not in ("l1", "random"):
        raise InvalidInput(f"within={within!r} is no rule: give 'l1' or 'random'")
    sizes = {group.name: group.size for group in network.prunable}
    scores = {group.name: _score(group) for group in network.prunable}
    shares = allocate(scores, sizes, channel_sparsity)
    removed = whole_filters(shares, sizes)
    channels = {
        group.name: remove_lowest(
            group,
            filter_norms(group) if within == "l1" else _random_order(group, seed),
            removed[group.name],
        )
        for group in network.prunable
    }
    facts = {
        name: {"afie": score, "share": shares[name]}
        for name, score in scores.items()
        if score is not None
    }
    return Selection(spread(network.prunable, channels), facts)


def _random_order(group: Group, seed: int) -> Floats:
    """Return the ranks of 64-bit words of the layer's Philox stream."""
    words = np.random.Philox(key=Stream(seed, group.name, 0).key).random_raw(group.size)
    return np.argsort(np.argsort(words, kind="stable")).astype(np.float64)


def _score(group: Group) -> float | None:
    scores = [afie_score(out_first(member.module)) for member in group.filters]
    return max((score for score in scores if score is not None), default=None)
