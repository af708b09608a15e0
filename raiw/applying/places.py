"""Where the masks of a set belong in a PyTorch model, with every reason why one does not fit."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from raiw.applying.memory import refuse_shared_memory
from raiw.applying.names import match_names
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.layouts import by_weight
from raiw.masks import Mask, MaskSet
from raiw.names import listed
from raiw.readers.adapters import is_adapted, plain
from raiw.readers.families import Unusable
from raiw.readers.module_layer import ModuleLayer, Where
from raiw.readers.modules import walk

_STACK = 3

PlainMasks = Mapping[str, torch.Tensor]
"""Boolean tensors (or arrays) by name of layer or parameter, true where a weight is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """One layer's part of a parameter, and its mask in the layout of that part."""

    layer: str
    module: nn.Module
    attribute: str
    kept: Bools
    """Broadcasts to the part: kernel axes have size 1."""
    where: Where = ()
    """Which part of the parameter; empty for the whole."""
    whole: str = ""
    """Name of the layer that the parameter is, where this one is a part."""

    @property
    def weight(self) -> nn.Parameter:
        """The parameter."""
        parameter: nn.Parameter = getattr(self.module, self.attribute)
        return parameter


class _Spot(NamedTuple):
    """What a mask may be put on."""

    name: str
    module: nn.Module
    attribute: str
    where: Where = ()
    layer: ModuleLayer | None = None
    """None for a parameter of no known layer."""


def find_places(model: nn.Module, masks: MaskSet, *, strict: bool) -> list[Place]:
    """Find the place of every mask and check that they fit.

    Raises
    ------
    InvalidInput
        A layer is unknown, computed from other parameters, of another shape or kind, or shares
        weights with a layer of another mask, or its memory with another parameter.
    """
    spots = _spots_of(model, masks, strict=strict)
    return _agreeing(model, [_fit(masks[layer], spot) for layer, spot in spots.items()], spots)


def find_plain_places(model: nn.Module, masks: PlainMasks, *, strict: bool) -> list[Place]:
    """Find the parameter of every boolean tensor and check that they fit.

    Raises
    ------
    InvalidInput
        A name is unknown, or a weight computed from others; a mask is not boolean, or of another
        shape; or two differ for one weight.
    """
    spots = _spots_of(model, masks, strict=strict)
    places = [_plain_fit(layer, masks[layer], spot) for layer, spot in spots.items()]
    return _agreeing(model, places, spots)


def joined_places(places: Iterable[Place]) -> list[Place]:
    """Return one place for each parameter of a module, whose mask is that of all its parts."""
    places = list(places)
    by_parameter: dict[tuple[int, str], list[Place]] = {}
    for place in places:
        by_parameter.setdefault((id(place.module), place.attribute), []).append(place)
    joined = []
    for parts in by_parameter.values():
        first = parts[0]
        if first.where:
            kept = kept_by_parameter(parts)[id(first.weight)]
            first = replace(first, layer=first.whole, kept=kept, where=())
        joined.append(first)
    return joined


def kept_by_parameter(places: Iterable[Place]) -> dict[int, Bools]:
    """Return what is kept of each parameter by its id; it broadcasts to the parameter.

    Raises
    ------
    InvalidInput
        Two masks say different things of one weight.
    """
    places = list(places)
    shapes: dict[int, tuple[int, ...]] = {}
    for place in places:
        shape = tuple(place.weight.shape) if place.where else place.kept.shape
        shapes[id(place.weight)] = np.broadcast_shapes(shapes.get(id(place.weight), ()), shape)
    kept = {key: np.ones(shape, np.bool_) for key, shape in shapes.items()}
    told = {key: np.zeros(shape, np.bool_) for key, shape in shapes.items()}
    first: dict[int, str] = {}
    for place in places:
        key = id(place.weight)
        first.setdefault(key, place.layer)
        before = kept[key][place.where]
        if (told[key][place.where] & (before != place.kept)).any():
            raise InvalidInput(
                f"layers {first[key]!r} and {place.layer!r} share one weight but have different "
                f"masks: leave one of them out of the spec",
                layer=place.layer,
            )
        kept[key][place.where] = place.kept
        told[key][place.where] = True
    return kept


def _spots_of(model: nn.Module, names: Collection[str], *, strict: bool) -> dict[str, _Spot]:
    """Return the spot that each mask is named after."""
    found = tuple(walk(model, every_path=True))
    _refuse_unusable(names, [layer for layer in found if isinstance(layer, Unusable)])
    spots = _spots(model, [layer for layer in found if isinstance(layer, ModuleLayer)])
    matched = match_names(names, spots, ("weight",), strict=strict)
    return {layer: spots[name] for layer, name in matched.items()}


def _agreeing(model: nn.Module, places: list[Place], spots: Mapping[str, _Spot]) -> list[Place]:
    """Return the places once no two contradict each other."""
    kept_by_parameter(places)
    refuse_shared_memory(model, (place.weight for place in places))
    _warn(model, spots.values())
    return places


def _spots(model: nn.Module, layers: list[ModuleLayer]) -> dict[str, _Spot]:
    """Return all that a mask may be put on, by name: parameters, and layers that are none."""
    whole = {(id(layer.module), layer.attribute): layer for layer in layers if not layer.where}
    spots = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            name = f"{path}.{leaf}".removeprefix(".")
            layer = whole.get((id(module), leaf))
            spots[name] = _Spot(name, module, leaf, (), layer)
            if layer is None and not is_lazy(parameter) and parameter.dim() == _STACK:
                for place in range(len(parameter)):
                    stacked = f"{name}.{place}"
                    spots[stacked] = _Spot(stacked, module, leaf, (place,))
    for layer in layers:
        if layer.where or f"{layer.name}.weight" not in spots:
            own = _Spot(layer.name, layer.module, layer.attribute, layer.where, layer)
            spots.setdefault(layer.name, own)
    return spots


def _refuse_unusable(masks: Iterable[str], unusable: list[Unusable]) -> None:
    """Refuse layers whose weight is computed, so that no parameter can hold its mask."""
    reasons = {plain(layer.name): layer.reason for layer in unusable}
    for layer in masks:
        reason = reasons.get(plain(layer.removesuffix(".weight")))
        if reason is not None:
            raise InvalidInput(
                f"layer {layer!r} cannot hold a mask: {reason}; remove that, then apply the masks, "
                f"or leave the layer out",
                layer=layer,
            )


def _fit(mask: Mask, spot: _Spot) -> Place:
    """Return the mask in the layout of the weight, once kind and shape agree."""
    layer, shape = spot.layer, _shape(mask.name, spot)
    if layer is not None and mask.layer.transposed != layer.inputs_first:
        raise InvalidInput(
            f"layer {mask.name!r} is {mask.layer.kind} in the spec, but "
            f"{type(spot.module).__name__} in the model, which stores its weight the other way "
            f"round: set its kind to {layer.kind}",
            layer=mask.name,
        )
    kept = by_weight(mask.numpy(), mask.groups, inputs_first=mask.layer.transposed)
    if shape[:2] != kept.shape:
        raise InvalidInput(_misfit(mask, kept, shape, spot.name), layer=mask.name)
    kept = kept.reshape(kept.shape + (1,) * (len(shape) - 2))
    _refuse_division_by_zero(mask, kept, spot)
    return _place(mask.name, spot, kept)


def _plain_fit(name: str, mask: "torch.Tensor | Bools", spot: _Spot) -> Place:
    """Return a plain mask as an array that broadcasts to the weight."""
    shape = _shape(name, spot)
    kept = torch.as_tensor(mask).detach().cpu()
    if kept.dtype != torch.bool:
        raise InvalidInput(
            f"layer {name!r}: the mask is {str(kept.dtype).removeprefix('torch.')}: give "
            f"booleans, true where a weight is kept",
            layer=name,
        )
    sides, taps = shape[:2], (1,) * (len(shape) - 2)
    if tuple(kept.shape) not in {shape, sides, sides + taps}:
        alike = f" or {sides}" if taps else ""
        raise InvalidInput(
            f"layer {name!r}: the mask is {tuple(kept.shape)}, parameter {spot.name!r} is {shape}: "
            f"give a mask of {shape}{alike}",
            layer=name,
        )
    whole = shape if tuple(kept.shape) == shape else sides + taps
    return _place(name, spot, kept.reshape(whole).contiguous().numpy())


def _shape(name: str, spot: _Spot) -> tuple[int, ...]:
    """Return the shape of what a mask is put on."""
    weight = getattr(spot.module, spot.attribute)
    if is_lazy(weight):
        raise InvalidInput(
            f"layer {name!r}: parameter {spot.name!r} has no shape yet; run one forward pass first",
            layer=name,
        )
    return tuple(weight[spot.where].shape) if spot.where else tuple(weight.shape)


def _place(name: str, spot: _Spot, kept: Bools) -> Place:
    layer, part = spot.layer, ""
    if layer is None and spot.where:
        part = f".{spot.where[0]}"
    elif layer is not None and layer.whole:
        part = layer.name.removeprefix(layer.whole)
    return Place(name, spot.module, spot.attribute, kept, spot.where, name.removesuffix(part))


def _misfit(mask: Mask, kept: Bools, shape: tuple[int, ...], name: str) -> str:
    sides = "(in, out/groups)" if mask.layer.transposed else "(out, in/groups)"
    fault = (
        f"layer {mask.name!r}: the mask is {sides} = {kept.shape}, parameter {name!r} is {shape}"
    )
    if shape[:2] == kept.shape[::-1]:
        return f"{fault}: it is transposed; the spec names inputs and outputs the other way round"
    return f"{fault}: craft the masks for this network's shapes"


def _refuse_division_by_zero(mask: Mask, kept: Bools, spot: _Spot) -> None:
    """Refuse to prune all that weight norm divides by the length of."""
    if spot.attribute not in {"original1", "weight_v"}:
        return
    empty = int((~kept.reshape(len(kept), -1).any(1)).sum())
    if empty:
        raise InvalidInput(
            f"layer {mask.name!r} has weight norm, which divides by the length of each of its "
            f"{len(kept)} slices, and the mask keeps nothing of {empty}: craft it with an "
            f"algorithm that leaves no vertex without an edge, such as 'raiw'",
            layer=mask.name,
        )


def _warn(model: nn.Module, spots: Collection[_Spot]) -> None:
    """Say what may bring pruned weights back, though the masks are held."""
    adapted = {id(module.base_layer) for module in model.modules() if is_adapted(module)}
    under = [spot.name for spot in spots if id(spot.module) in adapted]
    if under:
        warnings.warn(
            f"adapters add to {len(under)} layers with masks: {listed(under)}; merge_and_unload() "
            f"fills their pruned weights: call raiw.applied(model).enforce() after it",
            stacklevel=4,
        )
    doubts = {spot.name: spot.layer.doubt for spot in spots if spot.layer and spot.layer.doubt}
    for name, doubt in doubts.items():
        warnings.warn(f"layer {name!r}: {doubt}", stacklevel=4)
