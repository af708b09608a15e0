"""Channel groups: filters that must go together, because a network adds or concatenates them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks.channels import KeptFilters
from raiw.readers.families import family_of
from raiw.readers.modules import ModuleLayer, own_layers

Places = npt.NDArray[np.intp]
Role = Literal["filter", "scale", "input"]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, eq=False)
class Member:
    """One module that holds channels of a group."""

    name: str
    module: nn.Module
    role: Role
    """``filter``: the layer makes the channels; ``scale``: it treats each by itself (batch norm,
    depthwise convolution, a parameter of its own); ``input``: it reads them."""
    size: int
    """Number of the module's own outputs (or inputs)."""
    indices: Places
    """Places among them that are channels of the group."""
    channels: Places
    """The group's channel at each of these places."""
    tensors: tuple[tuple[str, int], ...]
    """Parameters and buffers with a value for each place, and the axis that counts places."""
    counts: tuple[str, ...]
    """Attributes that hold the number of places."""

    def of(self, channels: Bools) -> Places:
        """Return the module's places of the chosen channels."""
        return self.indices[channels[self.channels]]


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that are removed from all members at once, or from none."""

    size: int
    """Number of channels; of attention, of heads."""
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
            kept[member.name] = np.ones(member.size, np.bool_)
            kept[member.name][member.of(~channels)] = False
        return kept

    def gather(self, kept: Mapping[str, Bools]) -> Bools:
        """Return which channels stay, given the filters that do; the inverse of :meth:`spread`.

        Raises
        ------
        InvalidInput
            A layer is missing, has another number of filters or loses all of them, or filters
            that go together are kept apart.
        """
        channels = np.ones(self.size, np.bool_)
        for member in self.filters:
            filters = kept.get(member.name)
            if filters is None or filters.shape != (member.size,):
                got = "none" if filters is None else f"one of shape {filters.shape}"
                raise InvalidInput(
                    f"layer {member.name!r} needs a channel mask of {member.size} filters, "
                    f"there is {got}"
                )
            if not filters.any():
                raise InvalidInput(f"layer {member.name!r} would lose all filters: keep one")
            channels[member.channels[~filters[member.indices]]] = False
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

    def fitting(self, kept: KeptFilters) -> list[tuple[Group, Bools]]:
        """Return the groups that ``kept`` speaks of, and the channels that stay of each.

        Raises
        ------
        InvalidInput
            A layer is unknown or cannot lose filters, or as :meth:`Group.gather` says.
        """
        by_layer = {layer.name: group for group in self.prunable for layer in group.filters}
        for name in kept:
            if name not in by_layer:
                reason = self.kept.get(name, "the network has no such layer")
                raise InvalidInput(f"layer {name!r} cannot lose filters: {reason}")
        touched = {group.name: group for group in (by_layer[name] for name in kept)}
        return [(group, group.gather(kept)) for group in touched.values()]


def layer_of(module: nn.Module) -> ModuleLayer | None:
    """Return the linear layer or convolution that a module is; None if channels cannot leave it.

    They cannot where the weight is computed.
    """
    found = next(own_layers(module), None) if is_layer(module) else None
    if found is None or found.module is not module or found.attribute != "weight":
        return None
    return found


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one linear layer or convolution of any kind."""
    family = family_of(module)
    return family is not None and family.simple


def is_depthwise(layer: ModuleLayer) -> bool:
    """Whether each channel of a convolution is a group of its own."""
    sides = {layer.document.get("in_channels"), layer.document.get("out_channels")}
    return layer.groups > 1 and sides == {layer.groups}
