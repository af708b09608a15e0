"""Layers read from the names and shapes of a network's weights, as a checkpoint has them.

These do not tell everything. Groups: a grouped convolution is read as one graph of its
``(out, in/groups)``. Direction: only a bias whose length fits one side tells whether inputs or
outputs come first; a square matrix goes the way of the others, a convolution without a bias is read
as not transposed unless it is named. Embeddings: they look like linear layers without a bias, and
are told by their names, or where all others store their inputs first. What was taken for granted
stands in :class:`Reading`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from raiw.errors import InvalidSpec, NotFound
from raiw.files import map_file, naming
from raiw.names import listed
from raiw.readers.adapters import without_adapters
from raiw.readers.layers import (
    GATES,
    PROJECTIONS,
    QKV,
    LayerDocument,
    Reading,
    convolution,
    linear,
)
from raiw.readers.parts import equal, part_documents
from raiw.tensors import read_header

TensorShape = tuple[int, ...]

_MATRIX = 2
_MOST_AXES = 5
_CONVOLUTIONS = "convolutions have one group and, where no bias tells, are not transposed"
_WEIGHT = re.compile(r"(.+)\.(?:weight|weight_v|parametrizations\.weight\.original1)")
_EMBEDDING = re.compile(r"embed|^(wte|wpe|tokens?|shared|relative_attention_bias)$")
_RECURRENT = re.compile(r"weight_[ih]h(_l\d+(_reverse)?)?|weight_hr_l\d+(_reverse)?")


def read_shapes(shapes: Mapping[str, TensorShape], transposed: Iterable[str] = ()) -> Reading:
    """Return the layers among named tensors, in their order.

    Tensors called ``<layer>.weight`` of two to five axes, the projections of attention and the
    weights of recurrent layers count; with weight norm it is the direction that counts.
    ``transposed`` are globs over the names of layers that store their inputs first.

    Raises
    ------
    InvalidSpec
        No tensor is the weight of a layer, or a glob matches no layer.
    """
    checkpoint = _Checkpoint(shapes, set(_named(shapes, transposed)))
    layers: list[LayerDocument] = []
    skipped: dict[str, str] = {}
    for name, shape in shapes.items():
        if len(shape) < _MATRIX:
            continue
        found = checkpoint.layers(name, shape)
        if isinstance(found, str):
            skipped[name] = found
        else:
            layers.extend(found)
    if not layers:
        raise InvalidSpec("no tensor is called '<layer>.weight' and has two to five axes")
    convolved = any("kernel_size" in layer for layer in layers)
    return Reading(
        layers, skipped, _CONVOLUTIONS if convolved else "", "; ".join(checkpoint.doubts())
    )


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
        It is not a safetensors file, or is malformed.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"no file {str(path)!r}")
    data = map_file(file)
    with naming(file):
        header = read_header(data, len(data))
    return {name: tensor.shape for name, tensor in header.tensors.items()}


@dataclass
class _Checkpoint:
    """Named shapes, and what is taken for granted while they are read."""

    shapes: Mapping[str, TensorShape]
    named: set[str]
    """Paths of the layers that are said to store their inputs first."""
    doubtful: list[str] = field(default_factory=list)
    """Matrices that may be embeddings."""
    square: list[str] = field(default_factory=list)
    """Square matrices of which nothing tells what comes first."""

    def __post_init__(self) -> None:
        sides = [
            (path, shape, self._bias(path))
            for path, shape in ((_path(name), shape) for name, shape in self.shapes.items())
            if path and len(shape) == _MATRIX and (shape[0] != shape[1] or self._attends(path))
        ]
        self._outputs_first = {
            path for path, shape, bias in sides if bias == shape[:1] or self._attends(path)
        }
        self._inputs_first = {path for path, shape, bias in sides if bias == shape[1:]}
        self._inputs_first -= self._outputs_first
        self._told = {
            first: {path.rpartition(".")[2] for path in paths}
            for first, paths in ((True, self._inputs_first), (False, self._outputs_first))
        }
        self._widths = {shape[0] for shape in self.shapes.values() if len(shape) == 1}
        self._widths |= {shape[1] for shape in self.shapes.values() if len(shape) >= _MATRIX}
        self._adapted = {
            name.partition(".base_layer.")[0] for name in self.shapes if ".base_layer." in name
        }

    def layers(self, name: str, shape: TensorShape) -> Iterable[LayerDocument] | str:
        """Return the layers of a tensor, or the reason why it is of none."""
        path, leaf = _path(name), name.rpartition(".")[2]
        if len(shape) > _MOST_AXES or 0 in shape:
            return f"of the shape {shape}"
        if len(shape) == _MATRIX and leaf in PROJECTIONS:
            parts = equal(QKV, shape[0]) if leaf == PROJECTIONS[0] else {}
            return part_documents(linear(name, shape), parts)
        if len(shape) == _MATRIX and _RECURRENT.fullmatch(leaf):
            return self._recurrent(name, shape)
        if not path or self._is_adapter(path):
            return "an adapter" if path else "not called <layer>.weight"
        if len(shape) == _MATRIX:
            return self._matrix(path, shape)
        return _convolution(path, shape, self._bias(path), named=path in self.named)

    def _is_adapter(self, path: str) -> bool:
        ends = (place for place, sign in enumerate(path) if sign == ".")
        return any(
            path[:end] in self._adapted and not path.startswith(".base_layer", end) for end in ends
        )

    def doubts(self) -> Iterator[str]:
        """Yield what was decided of matrices without a word of the names or shapes."""
        if self.square:
            yield f"outputs come first in {listed(self.square)}"
        if self.doubtful:
            yield f"{listed(self.doubtful)} without a bias are linear layers, not embeddings"

    def _bias(self, path: str) -> TensorShape | None:
        return self.shapes.get(f"{path}.bias")

    def _attends(self, path: str) -> bool:
        """Whether a matrix is the output of torch's attention, which is a linear layer."""
        return f"{path.rpartition('.')[0]}.{PROJECTIONS[0]}".strip(".") in self.shapes

    def _matrix(self, path: str, shape: TensorShape) -> Iterable[LayerDocument] | str:
        bias, leaf = self._bias(path), path.rpartition(".")[2]
        if bias is None and path not in self.named:
            if self._attends(path):
                return [linear(without_adapters(path), shape)]
            if _EMBEDDING.search(leaf):
                return "an embedding, by its name"
            if self._inputs_first and not self._outputs_first:
                return "an embedding, as the others store inputs first and have a bias"
            if not self._is_read(shape[0]):
                self.doubtful.append(path)
        elif bias is not None and bias not in (shape[:1], shape[1:]):
            return f"a bias of {bias} fits neither side of {shape}"
        inputs_first = self._reads_inputs_first(path, shape)
        sides = shape[::-1] if inputs_first else shape
        document = linear(without_adapters(path), sides, transposed=inputs_first)
        fused = inputs_first and leaf == "c_attn" and sides[0] == len(QKV) * sides[1]
        return part_documents(document, equal(QKV, sides[0]) if fused else {})

    def _reads_inputs_first(self, path: str, shape: TensorShape) -> bool:
        if path in self.named or path in self._inputs_first:
            return True
        told = path in self._outputs_first or shape[0] != shape[1]
        if told or self._bias(path) is None:
            return False
        leaf = path.rpartition(".")[2]
        known = {first for first, leaves in self._told.items() if leaf in leaves}
        known = known or {first for first, leaves in self._told.items() if leaves}
        if len(known) > 1:
            self.square.append(path)
        return known == {True}

    def _is_read(self, width: int) -> bool:
        """Whether some tensor has a side of so many inputs, or a value for each."""
        return width in self._widths

    def _recurrent(self, name: str, shape: TensorShape) -> Iterable[LayerDocument] | str:
        path, _, leaf = name.rpartition(".")
        end = leaf.removeprefix("weight_")[2:]
        below = f"{path}." if path else ""
        smaller = self.shapes.get(f"{below}weight_hr{end}")
        state = self.shapes.get(f"{below}weight_hh{end}")
        if leaf.startswith("weight_hr"):
            return [linear(name, shape)]
        if not state or shape[0] != state[0]:
            return "without the other weight of a recurrent layer"
        gates = shape[0] / (smaller or state)[1]
        names = next((own for own in GATES.values() if max(1, len(own)) == gates), None)
        if names is None:
            return f"of {gates:g} gates"
        return part_documents(linear(name, shape), equal(names, shape[0]))


def _path(name: str) -> str:
    """Return the path of the layer that a tensor is the weight of; empty if it is none."""
    found = _WEIGHT.fullmatch(name)
    return found[1] if found else ""


def _named(shapes: Mapping[str, TensorShape], globs: Iterable[str]) -> Iterator[str]:
    """Yield the layers that globs name."""
    for glob in globs:
        paths = (_path(name) for name, shape in shapes.items() if len(shape) >= _MATRIX)
        matching = [path for path in paths if path and fnmatchcase(path, glob)]
        if not matching:
            raise InvalidSpec(f"no layer is called {glob!r}, which is said to be transposed")
        yield from matching


def _convolution(
    path: str, shape: TensorShape, bias: TensorShape | None, *, named: bool
) -> list[LayerDocument] | str:
    name = without_adapters(path)
    first, second, *kernel = shape
    if not named and bias in {None, shape[:1]}:
        return [convolution(name, (first, second), kernel)]
    outputs = second if bias is None else math.prod(bias)
    groups = max(1, outputs // second)
    if outputs != second * groups or first % groups:
        return f"a bias of {bias} fits neither {first} outputs nor {second} a group"
    return [convolution(name, (outputs, first), kernel, groups, transposed=True)]
