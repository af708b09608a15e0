"""Prune the channels of a trained network."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from raiw.errors import CannotPrune, InvalidInput
from raiw.importance.batches import batches_of
from raiw.masks.channels import ChannelMasks
from raiw.names import listed
from raiw.pruning.cutting import clear, cut
from raiw.pruning.groups import Groups
from raiw.pruning.guide import Guide
from raiw.pruning.methods import method as find_method
from raiw.pruning.probing import TOLERANCE
from raiw.pruning.prunable import PrunableModel, check_patterns
from raiw.pruning.running import Inputs, difference, outputs
from raiw.pruning.tracing import find_groups
from raiw.readers.modules import read_module
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


def prune(  # noqa: PLR0913 -- as Torch-Pruning names what it cannot know
    model: nn.Module,
    inputs: Inputs,
    method: str,
    *,
    data: Iterable[Inputs] | None = None,
    ignored_layers: Iterable[str] = (),
    num_heads: Mapping[str, int] | None = None,
    unwrapped_parameters: Mapping[str, int] | None = None,
    keep: Mapping[str, float] | None = None,
    on_layer: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Pruned:
    """Remove the channels of ``model`` that a method finds least needed.

    Parameters
    ----------
    model
        A trained network; it is left as it is.
    inputs
        An example batch, to trace the network with and to compare the results on: a tensor,
        several arguments in a tuple, or arguments by name in a mapping.
    method
        A name of :data:`raiw.pruning.METHODS`.
    ignored_layers
        Names of layers that keep all their filters; ``*`` stands for any part of a name.
    num_heads
        Heads of attention by the name of the layer that makes queries, or queries, keys and values
        together, for modules that do not say it themselves as ``num_heads``, ``n_head``, ….
        Whole heads are removed, never parts of them.
    unwrapped_parameters
        Axis of channels by the name of a parameter that belongs to no layer; left out, the last
        axis with more than one place.
    data
        Batches of inputs for the methods that need samples; left out, ``inputs`` are all. Where
        those are one tensor, a batch may be a pair of inputs and labels.
    keep
        Share of its filters that a layer keeps, by names or patterns of names, of which the last
        that fits counts; the others lose ``channel_sparsity``. Only ``l1_filter`` takes it.
    on_layer
        Called with a layer's name, its place and the number of layers, when it is done.
    options
        The method's own, such as ``channel_sparsity=0.5``.

    Raises
    ------
    InvalidInput
        The method, an option or a name is unknown or out of range, or the network does not run
        on the inputs.
    CannotPrune
        The network cannot be traced, none of its layers can lose a filter, or the smaller network
        does not compute what the one with zeros does, within :data:`probing.TOLERANCE` of the
        outputs' norm.

    Notes
    -----
    Channels that a network ties together go together. Which those are is traced, and tried: half
    of each group is removed, by zeros and for good, and the outputs are compared. A layer that
    fails keeps all its filters, and ``kept_dense`` says why. Weights that are shared stay shared.

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
    keep = dict(keep or {})
    chosen.check_keep(keep)
    masked, groups = traced(model, inputs, ignored_layers, num_heads, unwrapped_parameters)
    check_patterns(keep, groups)
    network = PrunableModel(
        model=masked,
        original=copy.deepcopy(model).eval(),
        groups=groups,
        data=[inputs] if data is None else batches_of(data),
        inputs=inputs,
        on_layer=on_layer or (lambda *_: None),
        keep=keep,
    )
    selection = chosen.load()(network, **complete)
    choice = groups.fitting(selection.kept)
    clear(masked, choice)
    smaller = cut(masked, choice)
    _check_equal(masked, smaller, inputs)
    channels = ChannelMasks(
        selection.kept, method, complete | ({"keep": keep} if keep else {}), selection.facts
    )
    return Pruned(
        channels,
        masked.train(model.training),
        smaller.train(model.training),
        groups.kept | selection.left,
    )


def traced(
    model: nn.Module,
    inputs: Inputs,
    ignored_layers: Iterable[str] = (),
    num_heads: Mapping[str, int] | None = None,
    unwrapped_parameters: Mapping[str, int] | None = None,
) -> tuple[nn.Module, Groups]:
    """Return a copy of a model in evaluation mode, and the channels that can go.

    Raises
    ------
    InvalidInput, CannotPrune
        As :func:`prune` says.
    """
    if hasattr(model, "_orig_mod"):
        raise InvalidInput("the model is compiled: prune model._orig_mod, and compile what is left")
    read_module(model)
    masked = _copy(model).eval()
    guide = Guide.of(masked, ignored_layers, num_heads, unwrapped_parameters)
    groups = find_groups(masked, inputs, guide)
    if not groups.prunable:
        reasons = listed([f"{name}: {reason}" for name, reason in groups.kept.items()], 4)
        raise CannotPrune(
            f"no layer of the network can lose filters ({reasons or 'no layers'}); raiw.sparsify "
            f"holds masks on it instead"
        )
    return masked, groups


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise CannotPrune(f"the network cannot be copied: {error}") from error


def _check_equal(masked: nn.Module, smaller: nn.Module, inputs: Inputs) -> None:
    remedy = "name layers to leave out in ignored_layers"
    wanted = outputs(masked, inputs)
    try:
        got = outputs(smaller, inputs)
    except Exception as error:
        raise CannotPrune(f"the smaller network does not run ({error}): {remedy}") from error
    apart = difference(wanted, got)
    if apart > TOLERANCE:
        raise CannotPrune(
            f"the smaller network's outputs are {apart:.2g} of their norm away from those of the "
            f"network with zeros, more than {TOLERANCE}: {remedy}",
            difference=apart,
        )
