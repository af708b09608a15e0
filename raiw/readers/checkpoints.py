"""Layers read from the names and shapes of a network's weights, as a checkpoint has them.

Of a convolution these do not tell everything. Its groups: a grouped convolution is read as one
graph of its ``(out, in/groups)``. Its direction: only a bias whose length fits one side tells
whether inputs or outputs come first; without, it is read as not transposed unless it is named.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from raiw.errors import InvalidSpec, NotFound
from raiw.files import map_file
from raiw.readers.layers import PROJECTIONS, LayerDocument, Reading, convolution, linear
from raiw.tensors import read_header

TensorShape = tuple[int, ...]

_MATRIX = 2
_MOST_AXES = 5
_ASSUMED = "convolutions have one group and, where no bias tells, are not transposed"


def read_shapes(shapes: Mapping[str, TensorShape], transposed: Iterable[str] = ()) -> Reading:
    """Return the layers among named tensors, in their order.

    Tensors called ``<layer>.weight`` of two to five axes and the projections of attention count;
    matrices that are called like an embedding and have no bias do not. ``transposed`` are globs
    over the names of transposed convolutions.

    Raises
    ------
    InvalidSpec
        No tensor is the weight of a layer, or a glob matches no convolution.
    """
    named = set(_named(shapes, transposed))
    layers: list[LayerDocument] = []
    skipped: dict[str, str] = {}
    for name, shape in shapes.items():
        if len(shape) < _MATRIX:
            continue
        path = name.removesuffix(".weight")
        found = _layer(name, shape, shapes.get(f"{path}.bias"), named=path in named)
        if isinstance(found, str):
            skipped[name] = found
        else:
            layers.append(found)
    if not layers:
        raise InvalidSpec("no tensor is called '<layer>.weight' and has two to five axes")
    convolved = any("kernel_size" in layer for layer in layers)
    return Reading(layers, skipped, _ASSUMED if convolved else "")


def shapes_of_state(state: Mapping[str, Any]) -> dict[str, TensorShape]:
    """Return the shapes of a state dict; tensors that share their memory count once."""
    shapes = {}
    seen = set()
    for name, tensor in state.items():
        shape = tuple(int(side) for side in getattr(tensor, "shape", ()))
        address = tensor.data_ptr() if hasattr(tensor, "data_ptr") else 0
        if not address or (address, shape) not in seen:
            shapes[name] = shape
        seen.add((address, shape))
    return shapes


def shapes_of_file(path: str | Path) -> dict[str, TensorShape]:
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


def _named(shapes: Mapping[str, TensorShape], globs: Iterable[str]) -> Iterator[str]:
    """Yield the convolutions that globs name."""
    for glob in globs:
        paths = (name.removesuffix(".weight") for name, shape in shapes.items() if shape[_MATRIX:])
        matching = [path for path in paths if fnmatchcase(path, glob)]
        if not matching:
            raise InvalidSpec(f"no convolution is called {glob!r}, which is said to be transposed")
        yield from matching


def _layer(
    name: str, shape: TensorShape, bias: TensorShape | None, *, named: bool
) -> LayerDocument | str:
    """Return the layer of a tensor, or the reason why it is none."""
    path, _, leaf = name.rpartition(".")
    if leaf in PROJECTIONS and len(shape) == _MATRIX:
        return linear(name, shape)
    if leaf != "weight" or not path:
        return "not called <layer>.weight"
    if len(shape) > _MOST_AXES or 0 in shape:
        return f"of the shape {shape}"
    if len(shape) == _MATRIX:
        return _matrix(path, shape, bias)
    return _convolution(path, shape, bias, named=named)


def _matrix(path: str, shape: TensorShape, bias: TensorShape | None) -> LayerDocument | str:
    if bias is None and "embed" in path.rpartition(".")[2]:
        return "an embedding, by its name"
    if bias not in {None, shape[:1]}:
        return f"a bias of {bias} does not fit {shape[0]} outputs"
    return linear(path, shape)


def _convolution(
    path: str, shape: TensorShape, bias: TensorShape | None, *, named: bool
) -> LayerDocument | str:
    first, second, *kernel = shape
    if not named and bias in {None, shape[:1]}:
        return convolution(path, (first, second), kernel)
    outputs = second if bias is None else math.prod(bias)
    groups = max(1, outputs // second)
    if outputs != second * groups or first % groups:
        return f"a bias of {bias} fits neither {first} outputs nor {second} a group"
    return convolution(path, (outputs, first), kernel, groups, transposed=True)
