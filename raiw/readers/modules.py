"""The one place that decides what is a layer of a torch module, and what is its weight.

Spec, scores, pruning, masks and training all ask :func:`read_module`, which knows the classes of
:data:`raiw.readers.families.FAMILIES`.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from raiw.errors import InvalidSpec
from raiw.names import listed
from raiw.readers.adapters import is_adapted, is_adapter, without_adapters
from raiw.readers.computed import reads_zeros
from raiw.readers.families import (
    EMBEDDINGS,
    FAMILIES,
    Unusable,
    class_names,
    family_of,
    joined,
)
from raiw.readers.layers import linear
from raiw.readers.module_layer import ModuleLayer
from raiw.readers.parts import Division, are_experts, divided, experts, fused_children, stacked
from raiw.readers.positions import count_positions

__all__ = ["ModuleLayer", "ModuleReading", "own_layers", "read_module", "read_weights"]

_MATRIX, _STACK = 2, 3
KINDS_OF_BARE = ("linear", "linear_transpose")


@dataclass(frozen=True, slots=True)
class ModuleReading:
    """The weights of a torch module."""

    layers: list[ModuleLayer]
    """Those that a mask can have, each once."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why a layer cannot hold a mask, by its name."""
    others: dict[str, str] = field(default_factory=dict)
    """What every other parameter of two axes or more is, by its name."""

    def warn(self) -> None:
        """Warn the caller's caller of layers left out, and of those whose use is not known."""
        reasons = self.unusable | {layer.name: layer.doubt for layer in self.layers if layer.doubt}
        for reason in dict.fromkeys(reasons.values()):
            names = [name for name, told in reasons.items() if told == reason]
            done = "left out" if names[0] in self.unusable else "kept, but"
            warnings.warn(f"{done}: {listed(names)} ({reason})", stacklevel=3)


def read_module(
    model: Any,
    input_size: tuple[int, ...] | None = None,
    bare: Mapping[str, str] | None = None,
) -> list[ModuleLayer]:
    """Return the layers of a torch module that a mask can have: see :func:`read_weights`."""
    return read_weights(model, input_size, bare).layers


def read_weights(
    model: Any,
    input_size: tuple[int, ...] | None = None,
    bare: Mapping[str, str] | None = None,
) -> ModuleReading:
    """Tell the weights of a torch module, in its own order; the module is left as it is.

    Linear layers, convolutions, projections of attention, gates of recurrent layers and experts of
    mixtures count. Layers that share a weight are one, under the first one's name. With
    ``input_size``, the shape of one input without the batch, the layers get ``positions``: a copy
    of the model that has shapes but no values runs once, or, where the model needs values, the
    model itself in evaluation mode.

    Parameters
    ----------
    bare
        Parameters of no known layer that are layers too: ``linear`` for ``(out, in)`` or
        ``linear_transpose`` for ``(in, out)`` by globs over their names. Of three axes the first
        one counts layers, as experts.

    Raises
    ------
    InvalidSpec
        It is not a torch module, has a weight without a shape, does not run on an input of that
        size, or ``bare`` names no such parameter.
    """
    if getattr(model, "named_modules", None) is None:
        raise InvalidSpec(
            f"a {type(model).__name__} is not a torch module: it has no named_modules()"
        )
    found: dict[tuple[int, str], ModuleLayer] = {}
    unusable = {}
    for layer in (*walk(model), *_bare(model, bare or {})):
        if isinstance(layer, Unusable):
            unusable[layer.name] = layer.reason
            continue
        key = id(layer.weight), repr(layer.where)
        first = found.get(key)
        found[key] = layer if first is None else replace(first, tied=(*first.tied, layer.name))
    embeddings = _embeddings(model)
    counts = Counter[str]() if input_size is None else count_positions(model, input_size)
    layers = [
        replace(
            layer,
            embedding=embeddings.get(id(layer.weight), ""),
            positions=sum(
                counts[name] or counts[layer.whole] for name in (layer.name, *layer.tied)
            ),
        )
        for layer in found.values()
    ]
    return ModuleReading(layers, unusable, _others(model, layers, embeddings))


def tied_rules(layers: Iterable[ModuleLayer]) -> list[dict[str, Any]]:
    """Return rules that keep dense what is an embedding too."""
    return [
        {
            "match": layer.name,
            "dense": True,
            "note": f"its weight is that of the embedding {layer.embedding!r} too",
        }
        for layer in layers
        if layer.embedding
    ]


def own_layers(module: Any, path: str = "") -> Iterator[ModuleLayer]:
    """Yield the layers whose weights one module at a path holds itself.

    Raises
    ------
    InvalidSpec
        A weight has no shape yet.
    """
    family = family_of(module)
    for layer in family.layers(path, module) if family is not None else ():
        if isinstance(layer, ModuleLayer):
            yield layer


def walk(model: Any, *, every_path: bool = False) -> Iterator[ModuleLayer | Unusable]:
    """Yield the layers of a model as they come; modules of several paths once, or by each."""
    fused: dict[int, tuple[Division, Any]] = {}
    adapted: set[str] = set()
    tried: dict[type, bool | None] = {}
    for path, module in model.named_modules(remove_duplicate=not every_path):
        if is_adapted(module):
            adapted.add(path)
        if is_adapter(path, adapted):
            continue
        for child, split in fused_children(module, next(class_names(module))):
            fused[id(getattr(child, "base_layer", child))] = split, module
        name = without_adapters(path)
        if are_experts(module):
            yield from experts(name, module)
        family = family_of(module)
        for layer in family.layers(name, module) if family is not None else ():
            if isinstance(layer, Unusable):
                yield layer
                continue
            used = _used(layer, module, tried)
            if isinstance(used, Unusable):
                yield used
            elif id(module) in fused and "out_features" in used.document:
                split, parent = fused[id(module)]
                sides = used.document["out_features"], used.document["in_features"]
                yield from divided(used, split(parent, *sides))
            else:
                yield used


def _used(
    layer: ModuleLayer, module: Any, tried: dict[type, bool | None]
) -> ModuleLayer | Unusable:
    """Return the layer, once zeros in its weight are zeros of what it computes.

    Only classes with a ``forward`` of their own are tried, each once.
    """
    kind = type(module)
    if layer.module is not module or not _overrides(module):
        return layer
    if kind not in tried:
        try:
            tried[kind] = reads_zeros(layer)
        except Exception:  # noqa: BLE001 -- a foreign class: any of its errors means the same
            tried[kind] = None
    if tried[kind] is None:
        return replace(layer, doubt=f"{kind.__name__} cannot be tried with zeros in its weight")
    if tried[kind]:
        return layer
    return Unusable(
        layer.name,
        f"{kind.__name__} computes its weight from the parameter, so that zeros do not stay zeros",
    )


def _overrides(module: Any) -> bool:
    """Whether a module's class has its own way to use the weight of a known class."""
    family = family_of(module)
    if family is None or not family.simple:
        return False
    known = next(place for place, name in enumerate(class_names(module)) if name in FAMILIES)
    own = (vars(base) for base in type(module).__mro__[:known])
    return any({"forward", "_conv_forward"} & names.keys() for names in own)


def _bare(model: Any, kinds: Mapping[str, str]) -> Iterator[ModuleLayer]:
    parameters = list(_parameters(model))
    for glob, kind in kinds.items():
        if kind not in KINDS_OF_BARE:
            known = " or ".join(map(repr, KINDS_OF_BARE))
            raise InvalidSpec(f"a bare parameter is {known}, not {kind!r}")
        inputs_first = kind == KINDS_OF_BARE[1]
        matching = [
            (name, module, leaf)
            for name, module, leaf in parameters
            if fnmatchcase(name, glob) and getattr(module, leaf).dim() in {_MATRIX, _STACK}
        ]
        if not matching:
            raise InvalidSpec(f"no parameter of two or three axes is called {glob!r}")
        for name, module, leaf in matching:
            shape = tuple(getattr(module, leaf).shape)
            if len(shape) == _STACK:
                yield from stacked(module, name, leaf, inputs_first=inputs_first)
            else:
                sides = shape[::-1] if inputs_first else shape
                document = linear(name, sides, transposed=inputs_first)
                yield ModuleLayer(document, module, leaf, inputs_first)


def _parameters(model: Any) -> Iterator[tuple[str, Any, str]]:
    for path, module in model.named_modules():
        for leaf, _ in module.named_parameters(recurse=False):
            yield joined(path, leaf), module, leaf


def _embeddings(model: Any) -> dict[int, str]:
    """Return the names of the embeddings by the ids of their weights."""
    return {
        id(parameter): without_adapters(path)
        for path, module in model.named_modules()
        if not EMBEDDINGS.isdisjoint(class_names(module))
        for parameter in module.parameters(recurse=False)
    }


def _others(model: Any, layers: list[ModuleLayer], embeddings: dict[int, str]) -> dict[str, str]:
    known = {id(layer.weight) for layer in layers}
    holders = {layer.module for layer in layers}
    adapted = {path for path, module in model.named_modules() if is_adapted(module)}
    others = {}
    for name, module, leaf in _parameters(model):
        parameter = getattr(module, leaf)
        length = leaf == "original0" or leaf.endswith("_g")  # of weight norm
        if id(parameter) in known or parameter.dim() < _MATRIX or (length and module in holders):
            continue
        if id(parameter) in embeddings:
            others[name] = "an embedding"
        elif is_adapter(name, adapted):
            others[name] = "an adapter"
        else:
            others[name] = f"a parameter of {type(module).__name__}"
    return others
