"""A model as the pruning methods see it, and the choices they have in common."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Bools, Floats
from raiw.masks.channels import KeptFilters
from raiw.names import listed, nearest
from raiw.pruning.groups import Group, Groups, layer_of
from raiw.pruning.running import Inputs, without_labels


@dataclass(frozen=True, eq=False)
class PrunableModel:
    """A model, its channel groups and the data to run it on."""

    model: nn.Module
    """A copy that the method may change, in evaluation mode."""
    original: nn.Module
    groups: Groups
    data: Iterable[Any]
    """Batches, with labels or without; may be walked more than once."""
    inputs: Inputs
    """An example of what the model is called with."""
    on_layer: Callable[[str, int, int], None]
    """Called with a layer's name, its place and the number of layers, when it is done."""
    keep: Mapping[str, float] = field(default_factory=dict)
    """Share of its filters that a layer keeps, by patterns of names; the last that fits counts."""

    def surplus(self, group: Group, channel_sparsity: float) -> int:
        """Return how many channels of a group go: the share of all layers, or what stays of it.

        Raises
        ------
        InvalidInput
            ``keep`` gives several shares to layers whose channels are added.
        """
        shares = {
            member.name: share
            for member in group.filters
            if (share := share_of(self.keep, member.name)) is not None
        }
        if len(set(shares.values())) > 1:
            raise InvalidInput(
                f"keep: the network adds the channels of {listed(list(shares))}, which must keep "
                f"the same ones: give them one share, not {listed([*map(str, shares.values())])}"
            )
        if shares:
            return group.size - max(1, round(next(iter(shares.values())) * group.size))
        return round(channel_sparsity * group.size)

    def batches(self) -> Iterator[Inputs]:
        """Yield what the model is called with."""
        for batch in self.data:
            yield without_labels(batch, self.inputs)

    @property
    def prunable(self) -> tuple[Group, ...]:
        """The groups whose channels may go."""
        return self.groups.prunable


@dataclass(frozen=True, eq=False)
class Selection:
    """What a method decided."""

    kept: KeptFilters
    """Which filters stay, by layer name."""
    facts: dict[str, dict[str, float]]
    """What the method measured of a layer on the way, by layer name."""
    left: dict[str, str] = field(default_factory=dict)
    """Why a layer that could lose filters was left as it is, by layer name."""


def share_of(keep: Mapping[str, float], name: str) -> float | None:
    """Return the share of the last pattern that a layer's name fits; None if there is none.

    >>> share_of({"features.*": 0.5, "features.0": 0.9}, "features.0")
    0.9
    """
    fitting = [share for pattern, share in keep.items() if fnmatchcase(name, pattern)]
    return fitting[-1] if fitting else None


def check_patterns(keep: Mapping[str, float], groups: Groups) -> None:
    """Require that every pattern fits a layer that can lose filters.

    Raises
    ------
    InvalidInput
        One does not; the message says why, where it is known.
    """
    names = [member.name for group in groups.prunable for member in group.filters]
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            reason = groups.kept.get(pattern)
            raise InvalidInput(
                f"keep: layer {pattern!r} cannot lose filters: {reason}"
                if reason
                else f"keep: {pattern!r} fits no layer that can lose filters"
                f"{nearest(pattern, names)}; these can: {listed(names)}"
            )


def filter_norms(group: Group) -> Floats:
    """Return for every channel the sum of the magnitudes of the filters that make it."""
    norms = np.zeros(group.size)
    for member in group.filters:
        weight = out_first(member.module)
        sums = np.abs(weight).reshape(len(weight), -1).sum(1)
        np.add.at(norms, member.channels, sums[member.indices])
    return norms


def out_first(layer: nn.Module) -> Floats:
    """Return a layer's weight with its outputs first, in double precision."""
    own = layer_of(layer)
    if own is None:
        raise TypeError(type(layer))
    array: Floats = own.weight.detach().double().cpu().numpy()
    return array.swapaxes(0, 1) if own.inputs_first else array


def remove_lowest(group: Group, scores: Floats, count: int) -> Bools:
    """Return the channels that stay when ``count`` of lowest score go.

    Equal scores: the later channel goes first. A layer's last filter always stays.
    """
    channels = np.ones(group.size, np.bool_)
    owners: list[list[str]] = [[] for _ in range(group.size)]
    left = {}
    for member in group.filters:
        left[member.name] = len(member.indices)
        for channel in member.channels:
            owners[channel].append(member.name)
    for channel in np.lexsort((-np.arange(group.size), scores)):
        if count == 0:
            break
        if all(left[name] > 1 for name in owners[channel]):
            channels[channel] = False
            count -= 1
            for name in owners[channel]:
                left[name] -= 1
    return channels


def spread(groups: Iterable[Group], channels: Mapping[str, Bools]) -> KeptFilters:
    """Return which filters stay by layer, given the channels that stay by group."""
    kept: KeptFilters = {}
    for group in groups:
        kept |= group.spread(channels[group.name])
    return kept


def check_sparsity(channel_sparsity: float) -> None:
    """Require a share of channels to remove that leaves some.

    Raises
    ------
    InvalidInput
        It is not from 0 to 0.99.
    """
    if not 0 <= channel_sparsity <= 0.99:  # noqa: PLR2004 -- the limit the message names
        raise InvalidInput(f"channel_sparsity is {channel_sparsity}: give a share from 0 to 0.99")
