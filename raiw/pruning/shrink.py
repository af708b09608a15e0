"""Remove channels from a network: first by zeros, then for good."""

import copy

import numpy as np
import torch
import torch_pruning as tp
from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks.channels import KeptFilters
from raiw.pruning.groups import Group, find_groups, layer_of


def silence(model: nn.Module, kept: KeptFilters, inputs: torch.Tensor) -> None:
    """Set every weight of the removed channels to zero, in place.

    A removed channel's filters, its batch norms and the weights that read it become zero, so the
    network computes what it would without the channel.
    """
    for group, channels in _fitting(model, kept, inputs):
        for member in group.members:
            _clear(member.module, member.of(~channels), reads=member.role == "input")


@torch.no_grad()
def _clear(module: nn.Module, places: list[int], *, reads: bool) -> None:
    layer = layer_of(module)
    inputs_first = layer is not None and layer.inputs_first
    weight, bias = module.weight, module.bias
    if isinstance(weight, torch.Tensor):
        axis = int(reads != inputs_first) if weight.dim() > 1 else 0
        weight.index_fill_(axis, torch.tensor(places, dtype=torch.long, device=weight.device), 0)
    if isinstance(bias, torch.Tensor) and not reads:
        bias.index_fill_(0, torch.tensor(places, dtype=torch.long, device=bias.device), 0)


def shrink(model: nn.Module, kept: KeptFilters, inputs: torch.Tensor) -> nn.Module:
    """Return a copy of ``model`` without the channels that ``kept`` leaves out.

    Layers that ``kept`` does not name keep all their filters. The copy computes what
    :func:`silence` leaves of ``model``, with fewer weights and operations.

    Parameters
    ----------
    inputs
        An example batch to trace the network with.

    Raises
    ------
    InvalidInput
        A layer is unknown or cannot lose filters, a shape is wrong, or layers whose channels are
        added keep different ones.
    """
    smaller = copy.deepcopy(model)
    graph = tp.DependencyGraph().build_dependency(smaller, inputs, verbose=False)
    for group, channels in _fitting(smaller, kept, inputs):
        removed = np.flatnonzero(~channels).tolist()
        if removed:
            remove = graph.get_pruner_of_module(group.root).prune_out_channels
            graph.get_pruning_group(group.root, remove, removed).prune()
    return smaller


def _fitting(
    model: nn.Module, kept: KeptFilters, inputs: torch.Tensor
) -> list[tuple[Group, Bools]]:
    """Return the groups that ``kept`` speaks of and the channels that stay of each."""
    found = find_groups(model, inputs)
    by_layer = {layer.name: group for group in found.prunable for layer in group.filters}
    for name in kept:
        if name not in by_layer:
            reason = found.kept.get(name, "the network has no such layer")
            raise InvalidInput(f"layer {name!r} cannot lose filters: {reason}")
    touched = {group.name: group for group in (by_layer[name] for name in kept)}
    return [(group, group.gather(kept)) for group in touched.values()]
