"""The one place that decides what is a layer of a torch module, and what is its weight.

Spec, scores, pruning, masks and training all ask :func:`read_module`. :data:`FAMILIES` is the table
of module classes that hold weights; a class that is not in it has none. Classes are told by their
names, so nothing here imports a framework, and structure alone counts, never a value.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from raiw.errors import InvalidSpec
from raiw.layouts import by_edge
from raiw.readers.layers import PROJECTIONS, LayerDocument, convolution, linear

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class ModuleLayer:
    """One layer of a torch module: the weight that a mask can have, and how it lies."""

    document: LayerDocument
    """The layer as a spec has it, without positions."""
    module: Any
    attribute: str
    """Name of the weight in the module."""
    inputs_first: bool = False
    """Whether the weight is ``(in, out/groups, *kernel)``, as that of a transposed convolution."""
    tied: tuple[str, ...] = ()
    """Names of the later layers that share this very weight."""
    positions: int = 0
    """Vectors the layer is applied to for one input; 0 if there are none, or they were not
    counted."""

    @property
    def name(self) -> str:
        """The module's path; the parameter's where the module holds several, or has no path."""
        return str(self.document["name"])

    @property
    def kind(self) -> str:
        """The kind of a spec: ``linear``, ``conv2d``, ``conv_transpose1d``, …."""
        return str(self.document["kind"])

    @property
    def groups(self) -> int:
        """Number of separate graphs."""
        return int(self.document.get("groups", 1))

    @property
    def weight(self) -> Any:
        """The weight as it is now: a parameter, or a tensor computed from others."""
        return getattr(self.module, self.attribute)

    @property
    def computed(self) -> bool:
        """Whether the weight is not a parameter, but computed from others."""
        return self.attribute not in dict(self.module.named_parameters(recurse=False))

    def edges(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """Return an array of the weight's shape as ``(out, in/groups, taps)``."""
        return by_edge(values, self.groups, inputs_first=self.inputs_first)

    def to_document(self) -> LayerDocument:
        """Return the layer as a spec has it, with its positions where they are known."""
        return self.document | ({"positions": self.positions} if self.positions else {})


def read_module(model: Any, input_size: tuple[int, ...] | None = None) -> list[ModuleLayer]:
    """Return the layers of a torch module, in its own order.

    Linear layers, convolutions and attention projections count. Layers that share a weight are one,
    under the first one's name. With ``input_size``, the shape of one input without the batch, the
    layers get ``positions``: a copy of the model that has shapes but no values runs once, or, where
    the model needs values, the model itself in evaluation mode.

    Raises
    ------
    InvalidSpec
        It is not a torch module, has a weight without a shape, or does not run on an input of that
        size.
    """
    if getattr(model, "named_modules", None) is None:
        raise InvalidSpec(
            f"a {type(model).__name__} is not a torch module: it has no named_modules()"
        )
    found: dict[int, ModuleLayer] = {}
    weights = []  # held, so that no id is used twice
    for path, module in model.named_modules():
        for layer in own_layers(module, path):
            weight = layer.weight
            weights.append(weight)
            first = found.get(id(weight))
            found[id(weight)] = (
                layer if first is None else replace(first, tied=(*first.tied, layer.name))
            )
    counts = Counter[str]() if input_size is None else _positions(model, input_size)
    return [
        replace(layer, positions=sum(counts[name] for name in (layer.name, *layer.tied)))
        for layer in found.values()
    ]


def own_layers(module: Any, path: str = "") -> Iterator[ModuleLayer]:
    """Yield the layers whose weights one module at a path holds itself.

    Raises
    ------
    InvalidSpec
        A weight has no shape yet.
    """
    family = _family(module)
    if family is not None:
        yield from family.layers(path, module)


@dataclass(frozen=True, slots=True)
class Family:
    """How the modules of one class hold their weights and use them."""

    layers: Callable[[str, Any], Iterator[ModuleLayer]]
    """Yields the layers of a module at a path."""
    vectors: Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], Mapping[str, int]]
    """Vectors that each layer is applied to in one call ``(module, args, kwargs, output)``, by
    the layer's name below the module."""


def _linear(path: str, module: Any) -> Iterator[ModuleLayer]:
    name = _named(path, module)
    yield ModuleLayer(linear(name, (module.out_features, module.in_features)), module, "weight")


def _last_axis(module: Any, _args: Any, _named: Any, output: Any) -> dict[str, int]:
    return {"": output.numel() // module.out_features}


def _convolution(path: str, module: Any) -> Iterator[ModuleLayer]:
    name, sides = _named(path, module), (module.out_channels, module.in_channels)
    document = convolution(name, sides, module.kernel_size, module.groups)
    yield ModuleLayer(document, module, "weight")


def _outputs(module: Any, _args: Any, _named: Any, output: Any) -> dict[str, int]:
    return {"": output.numel() // module.out_channels}


def _transposed(path: str, module: Any) -> Iterator[ModuleLayer]:
    name, sides = _named(path, module), (module.out_channels, module.in_channels)
    document = convolution(name, sides, module.kernel_size, module.groups, transposed=True)
    yield ModuleLayer(document, module, "weight", inputs_first=True)


def _inputs(module: Any, args: Any, named: Mapping[str, Any], _output: Any) -> dict[str, int]:
    return {"": (*args, *named.values())[0].numel() // module.in_channels}


def _attention(path: str, module: Any) -> Iterator[ModuleLayer]:
    for leaf in PROJECTIONS:  # out_proj is a linear layer of its own
        weight = getattr(module, leaf)
        if weight is not None:
            yield ModuleLayer(linear(_join(path, leaf), tuple(weight.shape)), module, leaf)


def _projected(_module: Any, args: Any, named: Mapping[str, Any], _output: Any) -> dict[str, int]:
    given = dict(zip(("query", "key", "value"), args, strict=False)) | dict(named)
    query, key, value = (given[side].shape[:-1].numel() for side in ("query", "key", "value"))
    # A third of in_proj each is for queries, keys and values; out_proj is used without a call.
    vectors = ((query + key + value) // 3, query, key, value, query)
    return dict(zip((*PROJECTIONS, "out_proj"), vectors, strict=True))


FAMILIES: dict[str, Family] = {
    "torch.nn.modules.linear.Linear": Family(_linear, _last_axis),
    "torch.nn.modules.activation.MultiheadAttention": Family(_attention, _projected),
} | {
    f"torch.nn.modules.conv.{name}{axes}d": family
    for axes in (1, 2, 3)
    for name, family in (
        ("Conv", Family(_convolution, _outputs)),
        ("ConvTranspose", Family(_transposed, _inputs)),
    )
}
"""The modules that hold weights, by the full name of their class; subclasses count as theirs."""


def _family(module: Any) -> Family | None:
    bases = (f"{base.__module__}.{base.__qualname__}" for base in type(module).__mro__)
    return next((FAMILIES[base] for base in bases if base in FAMILIES), None)


def _named(path: str, module: Any) -> str:
    """Return the name of a module's only layer, once its weight has a shape."""
    if type(module.weight).__name__ == "UninitializedParameter":
        raise InvalidSpec(
            f"layer {path!r}, a {type(module).__name__}, has no shape yet: run the model on one "
            f"batch first"
        )
    return path or "weight"


def _positions(model: Any, input_size: tuple[int, ...]) -> Counter[str]:
    """Count the vectors that each layer is applied to for one input, by the layer's name."""
    tensors = (*model.parameters(), *model.buffers())
    try:
        # Tensors on "meta" have a shape and no values: this costs neither memory nor time.
        twin = copy.deepcopy(model, {id(t): t.detach().to("meta") for t in tensors})
        return _count(twin.eval(), input_size)
    except Exception:  # noqa: BLE001 -- it asks for values, or makes tensors of its own: run it with them
        modes = [(module, module.training) for module in model.modules()]
    try:
        return _count(model.eval(), input_size)
    except Exception as error:
        raise InvalidSpec(
            f"the model does not run on one input of size {input_size}: {error}; without "
            f"input_size positions are not counted"
        ) from error
    finally:
        for module, training in modes:
            module.training = training


def _count(model: Any, input_size: tuple[int, ...]) -> Counter[str]:
    counts: Counter[str] = Counter()
    hooks = [
        module.register_forward_hook(_counter(path, family, counts), with_kwargs=True)
        for path, module in model.named_modules()
        if (family := _family(module)) is not None
    ]
    try:
        model(next(model.parameters()).detach().new_zeros((1, *input_size)))
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def _counter(path: str, family: Family, counts: Counter[str]) -> Callable[..., None]:
    """Return the forward hook that counts the vectors of a module's calls."""

    def count(module: Any, args: Any, named: Mapping[str, Any], output: Any) -> None:
        for leaf, vectors in family.vectors(module, args, named, output).items():
            counts[_join(path, leaf) or "weight"] += vectors

    return count


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}".strip(".")
