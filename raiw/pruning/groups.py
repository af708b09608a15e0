"""Channel groups: filters that must go together, because a network adds or concatenates them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch_pruning as tp
from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks.channels import KeptFilters
from raiw.readers.modules import ModuleLayer, own_layers

Places = npt.NDArray[np.intp]
Role = Literal["filter", "scale", "input"]


@dataclass(frozen=True, eq=False)
class Member:
    """One layer that holds channels of a group."""

    name: str
    module: nn.Module
    role: Role
    """``filter``: the layer makes the channels; ``scale``: it treats each by itself (batch norm,
    depthwise convolution); ``input``: it reads them."""
    indices: Places
    """Places in the layer's own outputs (or inputs)."""
    channels: Places
    """The group's channel at each of these places."""

    def of(self, channels: npt.NDArray[np.bool_]) -> list[int]:
        """Return the layer's places of the chosen channels."""
        return [int(place) for place in self.indices[channels[self.channels]]]


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that are removed from all members at once, or from none."""

    size: int
    """Number of channels."""
    root: nn.Module
    """The layer whose outputs are all the group's channels, in their order."""
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Name of the group: that of its first filter layer."""
        return self.filters[0].name

    @property
    def filters(self) -> tuple[Member, ...]:
        """The layers whose filters make the channels; several where a network adds."""
        return tuple(member for member in self.members if member.role == "filter")

    @property
    def inputs(self) -> tuple[Member, ...]:
        """The layers that read the channels."""
        return tuple(member for member in self.members if member.role == "input")

    def spread(self, channels: Bools) -> KeptFilters:
        """Return which filters of every filter layer stay, given the channels that do."""
        kept = {}
        for member in self.filters:
            kept[member.name] = np.ones(len(member.indices), np.bool_)
            kept[member.name][member.indices] = channels[member.channels]
        return kept

    def gather(self, kept: Mapping[str, Bools]) -> Bools:
        """Return which channels stay, given the filters that do; the inverse of :meth:`spread`.

        Raises
        ------
        InvalidInput
            A layer is missing, has another number of filters or loses all of them, or layers
            whose channels are added keep different ones.
        """
        channels = np.ones(self.size, np.bool_)
        for member in self.filters:
            filters = kept.get(member.name)
            if filters is None or filters.shape != (len(member.indices),):
                got = "none" if filters is None else f"one of shape {filters.shape}"
                raise InvalidInput(
                    f"layer {member.name!r} needs a channel mask of {len(member.indices)} filters, "
                    f"there is {got}"
                )
            if not filters.any():
                raise InvalidInput(f"layer {member.name!r} would lose all filters: keep one")
            channels[member.channels] &= filters[member.indices]
        for name, filters in self.spread(channels).items():
            if not np.array_equal(filters, kept[name]):
                raise InvalidInput(
                    f"the network adds the channels of layer {name!r} to those of "
                    f"{', '.join(repr(other) for other in kept if other != name)}: they must keep "
                    f"the same ones"
                )
        return channels


@dataclass(frozen=True, eq=False)
class Groups:
    """All channel groups of a network, and why some layers keep all their filters."""

    prunable: tuple[Group, ...]
    kept: dict[str, str]
    """Reason by layer name."""


def find_groups(model: nn.Module, inputs: torch.Tensor) -> Groups:
    """Return the channel groups of ``model`` in the order of its layers.

    ``inputs`` is an example batch: the network is traced with it once, by Torch-Pruning's
    dependency graph. Layers whose channels reach the output, are mixed by a normalisation over
    channels, or feed a grouped convolution keep all their filters.

    Raises
    ------
    InvalidInput
        The network cannot be traced with these inputs.
    """
    graph = _trace(model, inputs)
    names = {module: name for name, module in model.named_modules()}
    prunable: list[Group] = []
    kept: dict[str, str] = {}
    for traced in graph.get_all_groups():
        reason = next((why for why in _obstacles(traced, names) if why), None)
        members = tuple(_members(graph, traced, names))
        filters = [member for member in members if member.role == "filter"]
        if reason is None and not any(member.role == "input" for member in members):
            reason = "its channels are the network's outputs"
        if reason is None:
            prunable.append(Group(len(traced[0].idxs), traced[0].dep.target.module, members))
        else:
            kept |= {member.name: reason for member in filters}
    order = {name: place for place, name in enumerate(names.values())}
    return Groups(tuple(sorted(prunable, key=lambda group: order[group.name])), kept)


def _trace(model: nn.Module, inputs: torch.Tensor) -> "tp.DependencyGraph":
    was_training = model.training
    model.eval()
    try:
        return tp.DependencyGraph().build_dependency(model, inputs, verbose=False)
    except (RuntimeError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"the network cannot run on inputs of shape {tuple(inputs.shape)}: {error}"
        ) from None
    finally:
        model.train(was_training)


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _obstacles(traced: "tp.Group", names: dict[nn.Module, str]) -> Iterator[str | None]:
    """Yield what forbids to remove channels of the group."""
    for dep, _ in traced:
        module = dep.target.module
        if isinstance(module, nn.Parameter):
            yield "its channels meet a parameter that belongs to no layer"
        elif isinstance(module, BATCH_NORMS) or _depthwise(module):
            continue
        elif (layer := layer_of(module)) is not None:
            if layer.groups > 1:
                yield f"the grouped convolution {names[module]!r} needs equal groups"
        elif module in names:
            yield f"{type(module).__name__} {names[module]!r} mixes its channels"


def layer_of(module: nn.Module) -> ModuleLayer | None:
    """Return the linear layer or convolution that a module is; None for all others."""
    return next((layer for layer in own_layers(module) if layer.attribute == "weight"), None)


def _depthwise(module: nn.Module) -> bool:
    layer = layer_of(module)
    if layer is None or layer.groups == 1:
        return False
    return bool(layer.groups == module.in_channels == module.out_channels)


def _members(
    graph: "tp.DependencyGraph", traced: "tp.Group", names: dict[nn.Module, str]
) -> Iterator[Member]:
    for item in traced:
        module = item.dep.target.module
        if module not in names:
            continue
        role: Role = "input"
        if isinstance(module, BATCH_NORMS) or _depthwise(module):
            role = "scale"
        elif graph.is_out_channel_pruning_fn(item.dep.handler):
            role = "filter"
        places = np.array(item.idxs, np.intp), np.array(item.root_idxs, np.intp)
        yield Member(names[module], module, role, *places)
