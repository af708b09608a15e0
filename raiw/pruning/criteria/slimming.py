"""Network slimming: remove the channels of smallest batch-norm scale, over all layers.

Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017.
The method trains with ``loss + s · sum |gamma|`` first; without it the scales mean little.
"""

import numpy as np
import torch
from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.pruning.groups import BATCH_NORMS, Group
from raiw.pruning.prunable import (
    PrunableModel,
    Selection,
    check_sparsity,
    remove_lowest,
    spread,
)


def select(network: PrunableModel, *, channel_sparsity: float) -> Selection:
    """Keep the channels of largest ``|gamma|`` of the network.

    Raises
    ------
    InvalidInput
        No layer that may lose filters is followed by batch normalisation.
    """
    check_sparsity(channel_sparsity)
    scales = {group: _scales(group) for group in network.prunable}
    scaled = {group: values for group, values in scales.items() if values is not None}
    if not scaled:
        raise InvalidInput(
            "'slimming' needs batch normalisation after the layers to prune: use 'l1_filter'"
        )
    everything = np.concatenate(list(scaled.values()))
    order = np.argsort(everything, kind="stable")
    lowest = np.zeros(len(everything), np.bool_)
    lowest[order[: round(channel_sparsity * len(everything))]] = True
    counts = np.split(lowest, np.cumsum([group.size for group in scaled])[:-1])
    channels = {
        group.name: remove_lowest(group, values, int(low.sum()))
        for (group, values), low in zip(scaled.items(), counts, strict=True)
    }
    return Selection(spread(scaled, channels), {})


def _scales(group: Group) -> Floats | None:
    """Return the sum of ``|gamma|`` over the batch norms a channel passes; None without any."""
    scales = np.zeros(group.size)
    found = False
    for member in group.members:
        gamma = member.module.weight
        if isinstance(member.module, BATCH_NORMS) and isinstance(gamma, torch.Tensor):
            found = True
            values = gamma.detach().double().abs().cpu().numpy()
            np.add.at(scales, member.channels, values[member.indices])
    return scales if found else None


def penalty(model: nn.Module, strength: float) -> torch.Tensor:
    """Return what training for slimming adds to the loss: ``strength · sum |gamma|``.

    Its subgradient is ``strength · sign(gamma)``, 0 at 0. The sum is over the scales of all batch
    normalisations; it is 0 for a network without any.

    Examples
    --------
    >>> penalty(nn.BatchNorm2d(3), 0.5).item()
    1.5
    """
    scales = [
        module.weight.abs().sum()
        for module in model.modules()
        if isinstance(module, BATCH_NORMS) and isinstance(module.weight, torch.Tensor)
    ]
    return strength * torch.stack(scales).sum() if scales else torch.zeros(())
