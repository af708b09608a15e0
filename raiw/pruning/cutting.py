"""Channels taken out of a network: by zeros, or for good."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from raiw.errors import CannotPrune
from raiw.graphs import Bools
from raiw.pruning.groups import Group, Places

Choice = Iterable[tuple[Group, Bools]]
"""Groups, and which of their channels stay."""
Cuts = dict[int, list[int]]
"""Places to leave out of a tensor, by axis."""


@torch.no_grad()
def clear(model: nn.Module, choice: Choice) -> None:
    """Set every parameter of the channels that go to zero, in place."""
    for group, channels in choice:
        for member in group.members:
            module = model.get_submodule(member.name)
            places = member.of(~channels)
            for name, axis in member.tensors:
                parameter = getattr(module, name)
                if isinstance(parameter, nn.Parameter):
                    parameter.index_fill_(axis, _indices(places, parameter), 0)


def cut(model: nn.Module, choice: Choice) -> nn.Module:
    """Return a copy without the channels that go; what was one parameter stays one.

    Raises
    ------
    CannotPrune
        A layer would lose its last channel, or one place of a shared parameter another shape.
    """
    cuts: dict[tuple[str, str], Cuts] = defaultdict(dict)
    lost: dict[tuple[str, str], int] = {}
    for group, channels in choice:
        for member in group.members:
            places = member.of(~channels)
            for name in member.counts:
                lost[member.name, name] = lost.get((member.name, name), 0) + len(places)
            for name, axis in member.tensors:
                cuts[member.name, name].setdefault(axis, []).extend(places.tolist())
    _keep_shared(model, cuts)
    memo: dict[int, torch.Tensor] = {}  # what a copy finds here takes the place of the tensor
    for (path, name), found in cuts.items():
        tensor = getattr(model.get_submodule(path), name)
        if id(tensor) not in memo:
            memo[id(tensor)] = _without(tensor, found, path)
    smaller = copy.deepcopy(model, memo)
    for (path, name), count in lost.items():
        module = smaller.get_submodule(path)
        setattr(module, name, getattr(module, name) - count)
    return smaller


def _keep_shared(model: nn.Module, cuts: Mapping[tuple[str, str], Cuts]) -> None:
    """Require that all places of a parameter lose the same of it."""
    places: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            places[id(parameter)].append((path, name))
    for shared in places.values():
        lost = [_in_order(cuts.get(place, {})) for place in shared]
        if any(other != lost[0] for other in lost):
            paths = " and ".join(repr(path) for path, _ in shared)
            raise CannotPrune(f"{paths} share a weight and would keep different parts of it")


def _in_order(cuts: Cuts) -> dict[int, list[int]]:
    return {axis: sorted(places) for axis, places in sorted(cuts.items()) if places}


def _without(tensor: torch.Tensor, cuts: Cuts, path: str) -> torch.Tensor:
    narrowed = tensor.detach()
    for axis, places in cuts.items():
        left = np.setdiff1d(np.arange(tensor.shape[axis]), places)
        if not len(left):
            raise CannotPrune(f"layer {path!r} would lose its last channel")
        narrowed = narrowed.index_select(axis, _indices(left, tensor))
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(narrowed.clone(), requires_grad=tensor.requires_grad)
    return narrowed.clone()


def _indices(places: Places, tensor: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(places, dtype=torch.long, device=tensor.device)
