"""Prune the channels of a trained network."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from raiw.errors import InvalidInput
from raiw.masks.channels import ChannelMasks
from raiw.pruning.groups import find_groups
from raiw.pruning.methods import method as find_method
from raiw.pruning.prunable import PrunableModel
from raiw.pruning.shrink import shrink, silence
from raiw.specs.spec import Spec


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network, twice: with zeros, and without the channels."""

    channels: ChannelMasks
    model: nn.Module
    """The network with its removed channels set to zero, same shapes as before."""
    smaller: nn.Module
    """The network without them; it computes the same."""
    kept_dense: dict[str, str]
    """Why a layer keeps all its filters, by layer name."""

    @property
    def weights(self) -> int:
        """Weights of the smaller network's layers."""
        return Spec.from_model(self.smaller).plan().weights

    @property
    def dense_weights(self) -> int:
        """Weights of the network's layers before."""
        return Spec.from_model(self.model).plan().weights


def prune(
    model: nn.Module,
    inputs: torch.Tensor,
    method: str,
    *,
    data: Iterable[torch.Tensor] | None = None,
    on_layer: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Pruned:
    """Remove the channels of ``model`` that a method finds least needed.

    Parameters
    ----------
    model
        A trained network; it is left as it is.
    inputs
        An example batch, to trace the network with.
    method
        A name of :data:`raiw.pruning.METHODS`.
    data
        Batches of inputs for the methods that need samples; left out, ``inputs`` are all.
    on_layer
        Called with a layer's name, its place and the number of layers, when it is done.
    options
        The method's own, such as ``channel_sparsity=0.5``.

    Raises
    ------
    InvalidInput
        The method or an option is unknown or out of range, the network cannot be traced, or none
        of its layers can lose a filter.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> pruned = prune(net, torch.ones(1, 4), "l1_filter", channel_sparsity=0.5)
    >>> pruned.smaller
    Sequential(
      (0): Linear(in_features=4, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=2, bias=True)
    )
    """
    given: Any = inputs
    if isinstance(given, str):
        raise InvalidInput(f"{given!r} stands where inputs stand: prune(model, inputs, {given!r})")
    chosen = find_method(method)
    complete = chosen.complete(options)
    masked = copy.deepcopy(model).eval()
    groups = find_groups(masked, inputs)
    if not groups.prunable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in groups.kept.items())
        raise InvalidInput(f"no layer of the network can lose filters ({reasons or 'no layers'})")
    network = PrunableModel(
        model=masked,
        original=copy.deepcopy(model).eval(),
        groups=groups,
        data=[inputs] if data is None else data,
        on_layer=on_layer or (lambda *_: None),
    )
    selection = chosen.load()(network, **complete)
    silence(masked, selection.kept, inputs)
    smaller = shrink(masked, selection.kept, inputs)
    channels = ChannelMasks(selection.kept, method, complete, selection.facts)
    return Pruned(
        channels,
        masked.train(model.training),
        smaller.train(model.training),
        groups.kept,
    )
