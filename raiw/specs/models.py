"""Layers read from a network or its weights: by shapes alone, no code of a file is run.

Modules are told by the names of their classes, so nothing here imports a framework.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raiw.errors import InvalidSpec, NotFound
from raiw.files import map_file
from raiw.specs.reading import Layer, linear
from raiw.tensors import read_header

_KINDS = {
    "Linear": "linear",
    "Conv1d": "conv1d",
    "Conv2d": "conv2d",
    "Conv3d": "conv3d",
    "ConvTranspose2d": "conv_transpose2d",
}
_KIND_OF_RANK = {2: "linear", 3: "conv1d", 4: "conv2d", 5: "conv3d"}
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def layers_of_model(model: Any) -> list[Layer]:
    """Return the layer documents of a torch module, in its own order.

    Linear layers, convolutions and attention projections count. Layers that share a weight are one,
    under the first one's name.

    Raises
    ------
    InvalidSpec
        The model has no such layer, or is one itself and so has no name.
    """
    named = getattr(model, "named_modules", None)
    if named is None:
        raise InvalidSpec(f"a {type(model).__name__} is no torch module: it has no named_modules()")
    seen: dict[int, Any] = {}  # holds the weights, so that no id is used twice
    layers = []
    for name, module in named():
        for layer, weight in _own_layers(name, module):
            if id(weight) not in seen:
                seen[id(weight)] = weight
                layers.append(layer)
    if not layers:
        raise InvalidSpec("the model has no linear layer and no convolution")
    if any(not layer["name"] for layer in layers):
        raise InvalidSpec(
            "the model is a single layer without a name: wrap it, as in torch.nn.Sequential(layer)"
        )
    return layers


def _own_layers(name: str, module: Any) -> Iterator[tuple[Layer, Any]]:
    bases = [base.__name__ for base in type(module).__mro__]
    if "MultiheadAttention" in bases:
        for leaf in _PROJECTIONS:
            weight = getattr(module, leaf, None)
            if weight is not None:
                yield linear(f"{name}.{leaf}".removeprefix("."), tuple(weight.shape)), weight
        return
    kind = next((_KINDS[base] for base in bases if base in _KINDS), None)
    if kind == "linear":
        yield linear(name, (module.out_features, module.in_features)), module.weight
    elif kind is not None:
        layer = {
            "name": name,
            "kind": kind,
            "in_channels": module.in_channels,
            "out_channels": module.out_channels,
            "kernel_size": list(module.kernel_size),
        }
        yield layer | ({"groups": module.groups} if module.groups > 1 else {}), module.weight


def layers_of_shapes(shapes: Mapping[str, Iterable[int]]) -> list[Layer]:
    """Return the layer documents of named weight shapes, as a state dict has them.

    Tensors called ``*.weight`` of two to five axes count; embeddings, by their names, do not.
    Shapes do not tell groups: a grouped convolution is read as one graph of its
    ``(out, in/groups)``.

    Raises
    ------
    InvalidSpec
        No tensor is the weight of a layer.
    """
    layers = []
    for name, shape in shapes.items():
        sides = tuple(int(side) for side in shape)
        layer, _, leaf = name.rpartition(".")
        if leaf != "weight" or not layer or len(sides) not in _KIND_OF_RANK or "embed" in layer:
            continue
        if len(sides) == 2:  # noqa: PLR2004 -- a matrix
            layers.append(linear(layer, sides))
            continue
        layers.append(
            {
                "name": layer,
                "kind": _KIND_OF_RANK[len(sides)],
                "in_channels": sides[1],
                "out_channels": sides[0],
                "kernel_size": list(sides[2:]),
            }
        )
    if not layers:
        raise InvalidSpec("no tensor is called '<layer>.weight' and has two to five axes")
    return layers


def shapes_of_file(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes in a safetensors file, from its header alone.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidTensors
        It is no safetensors file, or a malformed one.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"no file {str(path)!r}")
    data = map_file(file)
    header = read_header(data, len(data))
    return {name: tensor.shape for name, tensor in header.tensors.items()}
