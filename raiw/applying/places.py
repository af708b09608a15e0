"""Where the masks of a set belong in a PyTorch model, with every reason why one does not fit."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from raiw.applying.names import match_names
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import Mask, MaskSet
from raiw.readers.modules import own_layers

PlainMasks = Mapping[str, torch.Tensor]
"""Boolean tensors (or arrays) by name of layer or parameter, true where a weight is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """One layer's parameter, and its mask in the layout of the weight."""

    layer: str
    module: nn.Module
    attribute: str
    kept: Bools
    """Broadcasts to the parameter: kernel axes have size 1."""

    @property
    def weight(self) -> nn.Parameter:
        """The parameter."""
        parameter: nn.Parameter = getattr(self.module, self.attribute)
        return parameter


def find_places(model: nn.Module, masks: MaskSet, *, strict: bool) -> list[Place]:
    """Find the parameter of every mask and check that they fit.

    Raises
    ------
    InvalidInput
        A layer is unknown, computed from other parameters, of another shape or kind, or shares
        its weight with a layer of another mask.
    """
    places = [
        Place(layer, module, attribute, _fit(masks[layer], module, attribute, name))
        for layer, name, module, attribute in _owners(model, masks, strict=strict)
    ]
    _refuse_contradictions(places)
    return places


def find_plain_places(model: nn.Module, masks: PlainMasks, *, strict: bool) -> list[Place]:
    """Find the parameter of every boolean tensor and check that they fit.

    Raises
    ------
    InvalidInput
        A name is unknown, or a weight computed from others; a mask is not boolean, or of another
        shape; or two differ for one weight.
    """
    places = [
        Place(name, module, attribute, _plain_fit(masks[name], module, attribute, name, parameter))
        for name, parameter, module, attribute in _owners(model, masks, strict=strict)
    ]
    _refuse_contradictions(places)
    return places


def _owners(
    model: nn.Module, layers: Collection[str], *, strict: bool
) -> Iterator[tuple[str, str, nn.Module, str]]:
    """Yield of each layer its name, its parameter's, and where that is."""
    owners = {
        f"{path}.{attribute}".removeprefix("."): (module, attribute)
        for path, module in model.named_modules(remove_duplicate=False)
        for attribute, _ in module.named_parameters(recurse=False, remove_duplicate=False)
    }
    _refuse_computed(layers, owners)
    for layer, name in match_names(layers, owners, ("weight",), strict=strict).items():
        yield layer, name, *owners[name]


def _refuse_computed(layers: Iterable[str], names: dict[str, tuple[nn.Module, str]]) -> None:
    """Refuse layers whose weight is not a parameter but computed from others."""
    makers = {"weight_orig": "torch.nn.utils.prune", "parametrizations.weight": "a parametrization"}
    for layer in layers:
        for inside, maker in makers.items():
            if any(name.startswith(f"{layer}.{inside}") for name in names):
                raise InvalidInput(
                    f"layer {layer!r}: the weight is computed by {maker}; remove that, then apply "
                    f"the masks",
                    layer=layer,
                )


def _fit(mask: Mask, module: nn.Module, attribute: str, name: str) -> Bools:
    """Return the mask in the layout of the weight, once kind and shape agree."""
    weight = _shaped(mask.name, module, attribute, name)
    layer = next((own for own in own_layers(module) if own.attribute == attribute), None)
    if mask.layer.transposed != (layer is not None and layer.inputs_first):
        remedy = "" if layer is None else f": set its kind to {layer.kind}"
        raise InvalidInput(
            f"layer {mask.name!r} is {mask.layer.kind} in the spec, but {type(module).__name__} in "
            f"the model, which stores its weight the other way round{remedy}",
            layer=mask.name,
        )
    kept = mask.for_weight()
    if weight.shape[:2] != kept.shape[:2]:
        raise InvalidInput(_misfit(mask, kept, weight, name), layer=mask.name)
    return kept.reshape(kept.shape[:2] + (1,) * (weight.dim() - 2))


def _shaped(layer: str, module: nn.Module, attribute: str, name: str) -> nn.Parameter:
    weight: nn.Parameter = getattr(module, attribute)
    if is_lazy(weight):
        raise InvalidInput(
            f"layer {layer!r}: parameter {name!r} has no shape yet; run one forward pass first",
            layer=layer,
        )
    return weight


def _plain_fit(
    mask: "torch.Tensor | Bools", module: nn.Module, attribute: str, layer: str, name: str
) -> Bools:
    """Return a plain mask as an array that broadcasts to the weight."""
    shape = tuple(_shaped(layer, module, attribute, name).shape)
    kept = torch.as_tensor(mask).detach().cpu()
    if kept.dtype != torch.bool:
        raise InvalidInput(
            f"layer {layer!r}: the mask is {str(kept.dtype).removeprefix('torch.')}: give "
            f"booleans, true where a weight is kept",
            layer=layer,
        )
    sides, taps = shape[:2], (1,) * (len(shape) - 2)
    if tuple(kept.shape) not in {shape, sides, sides + taps}:
        alike = f" or {sides}" if taps else ""
        raise InvalidInput(
            f"layer {layer!r}: the mask is {tuple(kept.shape)}, parameter {name!r} is {shape}: "
            f"give a mask of {shape}{alike}",
            layer=layer,
        )
    whole = shape if tuple(kept.shape) == shape else sides + taps
    return kept.reshape(whole).contiguous().numpy()


def _misfit(mask: Mask, kept: Bools, weight: torch.Tensor, name: str) -> str:
    sides = "(in, out/groups)" if mask.layer.transposed else "(out, in/groups)"
    fault = (
        f"layer {mask.name!r}: the mask is {sides} = {kept.shape[:2]}, parameter {name!r} is "
        f"{tuple(weight.shape)}"
    )
    if tuple(weight.shape[:2]) == kept.shape[1::-1]:
        return f"{fault}: it is transposed; the spec names inputs and outputs the other way round"
    return f"{fault}: craft the masks for this network's shapes"


def _refuse_contradictions(places: list[Place]) -> None:
    first: dict[int, Place] = {}
    for place in places:
        other = first.setdefault(id(place.weight), place)
        own, others = np.broadcast_arrays(place.kept, other.kept)
        if not np.array_equal(own, others):
            raise InvalidInput(
                f"layers {other.layer!r} and {place.layer!r} share one weight but have different "
                f"masks: leave one of them out of the spec",
                layer=place.layer,
            )
