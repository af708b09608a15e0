"""Layers read from a torch module: by its structure, never its values.

Modules are told by the names of their classes, so nothing here imports a framework.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

from raiw.errors import InvalidSpec
from raiw.readers.layers import PROJECTIONS, Layer, convolution, linear

_FAMILIES = {"MultiheadAttention": "attention", "Linear": "linear"} | {
    f"Conv{way}{axes}d": f"conv{way}" for way in ("", "Transpose") for axes in (1, 2, 3)
}
_LAZY = "UninitializedParameter"


def layers_of_model(model: Any, input_size: tuple[int, ...] | None = None) -> list[Layer]:
    """Return the layer documents of a torch module, in its own order.

    Linear layers, convolutions and attention projections count. Layers that share a weight are one,
    under the first one's name. With ``input_size``, the shape of one input without the batch, a
    copy of the model that has shapes but no values runs once, and its layers get ``positions``.

    Raises
    ------
    InvalidSpec
        The model has no such layer, is one itself and so has no name, has weights without a shape,
        or does not run on an input of that size.
    """
    if getattr(model, "named_modules", None) is None:
        raise InvalidSpec(f"a {type(model).__name__} is no torch module: it has no named_modules()")
    found: dict[int, tuple[Layer, Any]] = {}  # holds the weights, so that no id is used twice
    owner: dict[str, Layer] = {}
    for layer, weight in _layers(model):
        owner[layer["name"]], _ = found.setdefault(id(weight), (layer, weight))
    if not found:
        raise InvalidSpec("the model has no linear layer and no convolution")
    if "" in owner:
        raise InvalidSpec(
            "the model is a single layer without a name: wrap it, as in torch.nn.Sequential(layer)"
        )
    if input_size is not None:
        for name, count in _positions(model, input_size).items():
            if name in owner:
                owner[name]["positions"] = owner[name].get("positions", 0) + count
    return [layer for layer, _ in found.values()]


def _layers(model: Any) -> Iterator[tuple[Layer, Any]]:
    """Yield the layers of all modules, each with its weight."""
    for name, module in model.named_modules():
        family = _family(module)
        if family == "attention":
            for leaf in PROJECTIONS:
                weight = getattr(module, leaf, None)
                if weight is not None:
                    yield linear(_join(name, leaf), tuple(weight.shape)), weight
        elif family is not None:
            yield _layer(name, module, family), module.weight


def _layer(name: str, module: Any, family: str) -> Layer:
    if type(module.weight).__name__ == _LAZY:
        raise InvalidSpec(
            f"layer {name!r}, a {type(module).__name__}, has no shape yet: run the model on one "
            f"batch first"
        )
    if family == "linear":
        return linear(name, (module.out_features, module.in_features))
    sides = (module.out_channels, module.in_channels)
    transposed = family == "convTranspose"
    return convolution(name, sides, module.kernel_size, module.groups, transposed=transposed)


def _family(module: Any) -> str | None:
    bases = [base.__name__ for base in type(module).__mro__]
    return next((_FAMILIES[base] for base in bases if base in _FAMILIES), None)


def _positions(model: Any, input_size: tuple[int, ...]) -> Counter[str]:
    """Count the vectors that each layer is applied to for one input."""
    counts: Counter[str] = Counter()
    tensors = (*model.parameters(), *model.buffers())
    try:
        # Tensors on "meta" have a shape and no values: this costs neither memory nor time.
        twin = copy.deepcopy(model, {id(t): t.detach().to("meta") for t in tensors}).eval()
        for name, module in twin.named_modules():
            family = _family(module)
            if family is not None:
                module.register_forward_hook(_counter(name, family, counts), with_kwargs=True)
        twin(next(twin.parameters()).new_zeros((1, *input_size)))
    except Exception as error:
        raise InvalidSpec(
            f"the model does not run on one input of size {input_size}: {error}; without "
            f"input_size positions are not counted"
        ) from error
    return counts


def _counter(name: str, family: str, counts: Counter[str]) -> Any:
    """Return the forward hook that counts the vectors of a module's calls."""

    def attention(module: Any, args: Any, named: dict[str, Any], _: Any) -> None:
        del module
        given = dict(zip(("query", "key", "value"), args, strict=False)) | named
        query, key, value = (given[side].shape[:-1].numel() for side in ("query", "key", "value"))
        # A third of in_proj each is for queries, keys and values.
        vectors = ((query + key + value) // 3, query, key, value, query)
        for leaf, count in zip((*PROJECTIONS, "out_proj"), vectors, strict=True):
            counts[_join(name, leaf)] += count

    def layer(module: Any, args: Any, named: dict[str, Any], output: Any) -> None:
        if family == "convTranspose":
            vectors, channels = (*args, *named.values())[0], module.in_channels
        else:
            vectors = output
            channels = module.out_features if family == "linear" else module.out_channels
        counts[name] += vectors.numel() // channels

    return attention if family == "attention" else layer


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}".removeprefix(".")
