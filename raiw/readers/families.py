"""The table of module classes that hold weights; a class that is not in it has none.

Classes are told by their names, so nothing here imports a framework, and structure alone counts,
never a value.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from raiw.errors import InvalidSpec
from raiw.readers.computed import held_at
from raiw.readers.layers import GATES, PROJECTIONS, QKV, LayerDocument, convolution, linear
from raiw.readers.module_layer import ModuleLayer
from raiw.readers.parts import divided, equal

Vectors = Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Unusable:
    """A layer that a mask cannot be held on, or that does not do without its weights."""

    name: str
    reason: str


Found = Iterator[ModuleLayer | Unusable]


@dataclass(frozen=True, slots=True)
class Family:
    """How the modules of one class hold their weights and use them."""

    layers: Callable[[str, Any], Found]
    """Yields the layers of a module at a path."""
    vectors: Vectors
    """Vectors that each layer is applied to in one call ``(module, args, kwargs, output)``, by
    the layer's name below the module."""
    simple: bool = True
    """Whether the module is one layer, called with its inputs alone."""


def family_of(module: Any) -> Family | None:
    """Return the family of a module: that of its class, or of the nearest class above."""
    for name in class_names(module):
        if name in FAMILIES:
            return FAMILIES[name]
        if ROUTER.fullmatch(name):
            return Family(_router, _routed, simple=False)
    return None


def class_names(module: Any) -> Iterator[str]:
    """Yield the full names of a module's class and of those above it, the nearest first."""
    for base in type(module).__mro__:
        yield f"{base.__module__}.{base.__qualname__}"


def joined(path: str, leaf: str) -> str:
    """Return the name of what lies below a path."""
    return f"{path}.{leaf}".strip(".")


def _layer(module: Any, attribute: str, document: LayerDocument, **options: Any) -> Found:
    """Yield the layer of a weight, or why a mask cannot be held on it."""
    held = held_at(module, attribute)
    if isinstance(held, str):
        yield Unusable(document["name"], held)
        return
    layer = ModuleLayer(document, *held, **options)
    if type(layer.weight).__name__ == "UninitializedParameter":
        raise InvalidSpec(
            f"layer {document['name']!r}, a {type(module).__name__}, has no shape yet: run the "
            f"model on one batch first"
        )
    yield layer


def _linear(path: str, module: Any) -> Found:
    sides = module.out_features, module.in_features
    yield from _layer(module, "weight", linear(path or "weight", sides))


def _conv1d_of_gpt(path: str, module: Any) -> Found:
    document = linear(path or "weight", (module.nf, module.nx), transposed=True)
    yield from _layer(module, "weight", document, inputs_first=True)


def _last_axis(_module: Any, _args: Any, _named: Any, output: Any) -> dict[str, int]:
    return {"": output.numel() // output.shape[-1]}


def _convolution(path: str, module: Any) -> Found:
    sides = module.out_channels, module.in_channels
    document = convolution(path or "weight", sides, module.kernel_size, module.groups)
    yield from _layer(module, "weight", document)


def _outputs(module: Any, _args: Any, _named: Any, output: Any) -> dict[str, int]:
    return {"": output.numel() // module.out_channels}


def _transposed(path: str, module: Any) -> Found:
    name, sides = path or "weight", (module.out_channels, module.in_channels)
    document = convolution(name, sides, module.kernel_size, module.groups, transposed=True)
    yield from _layer(module, "weight", document, inputs_first=True)


def _inputs(module: Any, args: Any, named: Mapping[str, Any], _output: Any) -> dict[str, int]:
    return {"": (*args, *named.values())[0].numel() // module.in_channels}


def _attention(path: str, module: Any) -> Found:
    for leaf in PROJECTIONS:  # out_proj is a linear layer of its own
        held = held_at(module, leaf)
        shape = () if isinstance(held, str) else tuple(getattr(*held).shape)
        if isinstance(held, str) and held:
            yield Unusable(joined(path, leaf), held)
        elif shape:
            parts = equal(QKV, shape[0]) if leaf == PROJECTIONS[0] else {}
            yield from _parts(module, leaf, linear(joined(path, leaf), shape), parts)


def _projected(_module: Any, args: Any, named: Mapping[str, Any], _output: Any) -> dict[str, int]:
    given = dict(zip(("query", "key", "value"), args, strict=False)) | dict(named)
    vectors = [given[side].shape[:-1].numel() for side in ("query", "key", "value")]
    fused = (f"{PROJECTIONS[0]}.{part}" for part in QKV)
    # out_proj is used without a call.
    names = (*fused, *PROJECTIONS[1:], "out_proj")
    return dict(zip(names, (*vectors, *vectors, vectors[0]), strict=True))


def _recurrent(gates: tuple[str, ...], path: str, module: Any) -> Found:
    for leaf, weight in list(module.named_parameters(recurse=False)):
        if leaf.startswith("weight"):
            document = linear(joined(path, leaf), tuple(weight.shape))
            own = () if leaf.startswith("weight_hr") else gates  # hr makes the state smaller
            yield from _parts(module, leaf, document, equal(own, weight.shape[0]))


def _steps(module: Any, args: Any, _named: Any, _output: Any) -> dict[str, int]:
    given = getattr(args[0], "data", args[0])  # of a packed sequence, its steps
    steps = given.numel() // given.shape[-1]
    leaves = (leaf for leaf, _ in module.named_parameters(recurse=False))
    return {leaf: steps for leaf in leaves if leaf.startswith("weight")}


def _router(path: str, module: Any) -> Found:
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    if weight is not None and weight.dim() == 2:  # noqa: PLR2004 -- experts and inputs
        yield from _layer(module, "weight", linear(path or "weight", tuple(weight.shape)))


def _routed(module: Any, args: Any, named: Mapping[str, Any], _output: Any) -> dict[str, int]:
    return {"": (*args, *named.values())[0].numel() // module.weight.shape[1]}


def _parts(module: Any, leaf: str, document: LayerDocument, parts: dict[str, Any]) -> Found:
    for found in _layer(module, leaf, document):
        yield from divided(found, parts) if isinstance(found, ModuleLayer) else (found,)


FAMILIES: dict[str, Family] = (
    {
        "torch.nn.modules.linear.Linear": Family(_linear, _last_axis),
        "torch.nn.modules.activation.MultiheadAttention": Family(
            _attention, _projected, simple=False
        ),
        "transformers.pytorch_utils.Conv1D": Family(_conv1d_of_gpt, _last_axis),
    }
    | {
        f"torch.nn.modules.conv.{name}{axes}d": family
        for axes in (1, 2, 3)
        for name, family in (
            ("Conv", Family(_convolution, _outputs)),
            ("ConvTranspose", Family(_transposed, _inputs)),
        )
    }
    | {
        f"torch.nn.modules.rnn.{name}{cell}": Family(
            partial(_recurrent, gates), _steps, simple=False
        )
        for name, gates in GATES.items()
        for cell in ("", "Cell")
    }
)
"""The modules that hold weights, by the full name of their class; subclasses count as theirs."""

ROUTER = re.compile(r"transformers\.models\..+\.\w+Top[kK]Router")
"""The routers of mixtures: each a class of its model, with a weight ``(experts, in)``."""

EMBEDDINGS = frozenset(f"torch.nn.modules.sparse.{name}" for name in ("Embedding", "EmbeddingBag"))
"""Classes whose weight is looked up, not multiplied."""
