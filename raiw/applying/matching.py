"""Masks of a network whose layers an exporter has renamed, for the torch module it came from."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raiw import extras
from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.layouts import by_edge
from raiw.masks import MaskSet
from raiw.names import listed
from raiw.readers.modules import ModuleLayer, read_module
from raiw.specs.layers import Conv, Linear
from raiw.specs.renaming import renamed
from raiw.specs.spec import Spec

_ALIKE = 2e-3
"""Largest difference of two rows of length 1 that are taken for one: a rounding to float16."""

LayerKind = tuple[Any, ...]
"""What is alike in a layer of the file and in that of the module: kind, groups and shape."""


def match(
    masks: MaskSet,
    model: nn.Module,
    *,
    onnx: str | Path | None = None,
    input_size: tuple[int, ...] | None = None,
) -> MaskSet:
    """Return masks under the names of a module's layers.

    ONNX exporters call weights ``val_118`` or ``onnx::Conv_193`` where they have transposed or
    folded them. Layers that have their name in the module keep it. Of the others one that is alone
    with its kind and shape is known by them; those that are alike are told by their values in the
    ONNX file, or by the order in which the module calls them, which is the order of the nodes that
    torch's exporters write. Nothing is guessed: what these leave open is an error.

    Parameters
    ----------
    masks
        Crafted from a spec of :meth:`raiw.Spec.from_onnx`.
    model
        The module, with the weights that were exported where ``onnx`` is given.
    onnx
        The ONNX file, to compare values (``raiw[onnx]``). Outputs may be scaled, as by a batch
        norm that is folded into its convolution.
    input_size
        The shape of one input without the batch, to run the module once and see the order.

    Raises
    ------
    InvalidInput
        Layers have no counterpart, or several.
    InvalidNetwork, NotFound, MissingExtra
        The ONNX file is damaged or missing, or the package onnx is.

    Examples
    --------
    >>> import raiw
    >>> layer = {"name": "val_3", "kind": "linear", "in_features": 8, "out_features": 4}
    >>> masks = raiw.craft({"layers": [layer], "craft": {"degree": 1}})
    >>> net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> list(raiw.match(masks, net))
    ['0']
    """
    layers = _by_kind(model)
    kinds = {name: _kind(mask.layer) for name, mask in masks.items()}
    names = {
        name: name
        for name, kind in kinds.items()
        if any(name in _aliases(layer) for layer in layers.get(kind, ()))
    }
    rest = {name: kind for name, kind in kinds.items() if name not in names}
    left = {
        kind: [layer for layer in layers.get(kind, ()) if not {*names} & {*_aliases(layer)}]
        for kind in rest.values()
    }
    for kind, count in Counter(rest.values()).items():
        alike = [name for name in rest if rest[name] == kind]
        if len(left[kind]) < count:
            raise InvalidInput(
                f"the model has {len(left[kind])} layers for the masks of {listed(alike)}, each "
                f"{_words(masks[alike[0]].layer)}: these are masks of another network",
                layers=alike,
            )
        if len(left[kind]) == 1:
            names[alike[0]] = left[kind][0].name
    rest = {name: kind for name, kind in rest.items() if name not in names}
    if rest and onnx is not None:
        names |= _by_values(masks, rest, left, onnx)
    elif rest and input_size is not None:
        names |= _by_calls(rest, left, model, input_size)
    elif rest:
        raise InvalidInput(
            f"the model has several layers of one kind and shape that {listed([*rest])} may be: "
            f"give the ONNX file, or input_size for the order of calls",
            layers=[*rest],
        )
    return _renamed(masks, names)


def _by_kind(model: nn.Module) -> dict[LayerKind, list[ModuleLayer]]:
    """Return the module's layers by what masks can know of them."""
    found: dict[LayerKind, list[ModuleLayer]] = {}
    for layer in read_module(model):
        (known,) = Spec.of_layers([layer.document], {}).layers
        found.setdefault(_kind(known), []).append(layer)
    return found


def _kind(layer: Linear | Conv) -> LayerKind:
    return layer.kind, layer.groups, layer.weight_shape


def _words(layer: Linear | Conv) -> str:
    return f"{layer.kind} with a weight of {'×'.join(map(str, layer.weight_shape))}"


def _aliases(layer: ModuleLayer) -> tuple[str, ...]:
    """Return the names under which :func:`raiw.apply` finds a layer."""
    return (layer.name, f"{layer.name}.{layer.attribute}", *layer.tied)


def _by_calls(
    rest: Mapping[str, LayerKind],
    left: Mapping[LayerKind, list[ModuleLayer]],
    model: nn.Module,
    input_size: tuple[int, ...],
) -> dict[str, str]:
    """Pair masks and layers by their order, once their kinds come in the same order."""
    known = {layer.module: (kind, layer) for kind in rest.values() for layer in left[kind]}
    called = [known[module] for module in _calls(model, input_size) if module in known]
    if [kind for kind, _ in called] != [*rest.values()]:
        raise InvalidInput(
            f"the model calls {len(called)} layers of the kinds of {listed([*rest])}, which are "
            f"{len(rest)}, or in another order: give the ONNX file, to compare values",
            layers=[*rest],
        )
    return {name: layer.name for name, (_, layer) in zip(rest, called, strict=True)}


@torch.no_grad()
def _calls(model: nn.Module, input_size: tuple[int, ...]) -> list[nn.Module]:
    """Return the modules in the order of their first calls, by one run without training."""
    order: dict[nn.Module, None] = {}
    modes = [(module, module.training) for module in model.modules()]
    hooks = [
        module.register_forward_pre_hook(lambda module, _: order.setdefault(module))
        for module in model.modules()
    ]
    try:
        model.eval()(next(model.parameters()).new_zeros((1, *input_size)))
    except Exception as error:
        raise InvalidInput(
            f"the model does not run on one input of size {input_size}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return list(order)


def _by_values(
    masks: MaskSet,
    rest: Mapping[str, LayerKind],
    left: Mapping[LayerKind, list[ModuleLayer]],
    path: str | Path,
) -> dict[str, str]:
    """Pair masks and layers whose weights are the same, up to a factor for each output."""
    stored = extras.load("raiw.readers.onnx_file").weights(path)
    names: dict[str, str] = {}
    for name, kind in rest.items():
        if name not in stored:
            raise InvalidInput(f"{str(path)!r} has no layer {name!r}: masks and file differ")
        rows = [_directions(edges) for edges in _oriented(stored[name], masks[name].layer)]
        alike = [
            layer.name
            for layer in left[kind]
            if any(_same(own, _directions(_values(layer))) for own in rows)
        ]
        if len(alike) != 1:
            found = f"those of {listed(alike)}" if alike else "of no layer of its kind and shape"
            raise InvalidInput(
                f"layer {name!r}: its weights in {str(path)!r} are {found} in the model: load the "
                f"weights that were exported, or give input_size for the order of calls",
                layer=name,
            )
        names[name] = alike[0]
    several = [name for name, count in Counter(names.values()).items() if count > 1]
    if several:
        raise InvalidInput(f"several masks are for {listed(several)}, by the weights in the file")
    return names


def _oriented(values: Any, layer: Linear | Conv) -> Iterator[Floats]:
    """Yield the ``(out, in/groups, taps)`` edges that a stored tensor may hold."""
    array = np.asarray(values, np.float64)
    if layer.kind != "linear":
        yield by_edge(array, layer.groups, inputs_first=layer.transposed)
        return
    for matrix in (array, array.T):
        if matrix.shape == layer.graph_shape:
            yield matrix[:, :, np.newaxis]


def _values(layer: ModuleLayer) -> Floats:
    return layer.edges(layer.weight.detach().double().cpu().numpy())


def _directions(edges: Floats) -> Floats:
    """Return the weights of each output, scaled to length 1; zeros stay."""
    rows = edges.reshape(len(edges), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def _same(one: Floats, other: Floats) -> bool:
    """Whether rows are the same or opposite; one that is zero in either tells nothing."""
    told = one.any(1) & other.any(1)
    apart = (np.abs(one - sign * other).max(1) for sign in (1, -1))
    return bool(told.any() and np.minimum(*apart)[told].max() <= _ALIKE)


def _renamed(masks: MaskSet, names: Mapping[str, str]) -> MaskSet:
    origin = masks.origin.model_copy(update={"spec": renamed(masks.spec, names).canonical()})
    return MaskSet(
        [
            replace(mask, layer=mask.layer.model_copy(update={"name": names[name]}))
            for name, mask in masks.items()
        ],
        origin,
    )
