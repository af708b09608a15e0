"""Layers read from an ONNX file: from its graph and the shapes of its weights.

No code of a file is run, and no other file is opened.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx.helper import tensor_dtype_to_field, tensor_dtype_to_np_dtype
from onnx.numpy_helper import to_array

from raiw.errors import InvalidNetwork, NotFound, TooLarge
from raiw.readers.layers import LayerDocument, Reading, convolution, linear
from raiw.readers.onnx_shapes import Shapes

MAX_BYTES = (1 << 31) - 1
"""Most bytes of one protobuf message; larger networks keep their tensors in other files."""
MAX_NODES = 1_000_000

_CONVOLUTIONS = {"Conv", "ConvTranspose"}
_PRODUCTS = {"Gemm", "MatMul"}
_SAME_SHAPE = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"}
_INPUTS = (
    dict.fromkeys(_CONVOLUTIONS | _PRODUCTS, 2)
    | dict.fromkeys(_SAME_SHAPE | {"Transpose"}, 1)
    | {"Constant": 0}
)
"""Inputs that a node of the standard operators has at least; other nodes are not read."""
_MATRIX = 2
_CONVOLUTION_AXES = (3, 4, 5)
_BITS = {"FLOAT4E2M1": 4, "INT2": 2, "INT4": 4, "UINT2": 2, "UINT4": 4}
"""Bits of the types that share a byte."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A value of the graph that is a tensor of the file, possibly transposed."""

    origin: str
    """Name of the tensor."""
    shape: tuple[int, ...]


def read(path: str | Path) -> Reading:
    """Return the layers of an ONNX file, each stored weight once.

    Reads the file into memory; tensors are looked at for their sizes only.

    Raises
    ------
    InvalidNetwork
        It is not an ONNX file, is damaged, keeps its tensors in other files, or has no layer.
    NotFound
        There is no such file.
    TooLarge
        The file has more than 2 GiB or a million nodes.
    """
    model = _load(Path(path))
    reading = _Graph(model).read()
    if not reading.layers:
        raise InvalidNetwork(
            f"{str(path)!r} has no Conv, ConvTranspose, Gemm or MatMul with a weight stored in "
            f"it: export the weights too, and functions inlined"
        )
    return reading


def weights(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Return the stored weight of every layer that :func:`read` finds, as it lies in the file.

    Raises
    ------
    InvalidNetwork, NotFound, TooLarge
        As :func:`read` says.
    """
    model = _load(Path(path))
    graph = _Graph(model)
    graph.read()
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    stored = {tensor.name: tensor for tensor in model.graph.initializer} | {
        node.output[0]: given.t
        for node in constants
        for given in node.attribute
        if given.HasField("t")
    }
    return {
        name: to_array(stored[origin])
        for origin, name in graph.layer_names().items()
        if origin in stored
    }


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise NotFound(f"no file {str(path)!r}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise TooLarge(
            f"{str(path)!r} has {size} bytes; an ONNX file has {MAX_BYTES} at most: use the "
            f"weights in safetensors",
            limit=MAX_BYTES,
        )
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError:
        raise InvalidNetwork(f"{str(path)!r} is not an ONNX file, or is truncated") from None
    if not (model.ir_version and model.opset_import and model.graph.node):
        raise InvalidNetwork(f"{str(path)!r} is not an ONNX file: it has no version or no graph")
    if len(model.graph.node) > MAX_NODES:
        raise TooLarge(
            f"{str(path)!r} has {len(model.graph.node)} nodes; {MAX_NODES} are allowed",
            limit=MAX_NODES,
        )
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise InvalidNetwork(f"{str(path)!r} has a name that is not UTF-8: the file is damaged")
    return model


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield what is used as text; protobuf hands out bytes where it is none."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
    for tensor in graph.initializer:
        yield tensor.name
    for sparse in graph.sparse_initializer:
        yield sparse.values.name


class _Graph:
    """One walk over the nodes, in their order: a value is known before it is used."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._stored = {stored.origin: stored for stored in _initializers(model.graph)}
        self._nodes = model.graph.node
        self._uses: dict[str, set[str]] = {}
        self._layers: dict[str, LayerDocument] = {}
        self._shapes = Shapes(model)

    def read(self) -> Reading:
        for node in self._nodes:
            operator = node.op_type if node.domain in {"", "ai.onnx"} else ""
            if operator in _INPUTS:
                _check_arity(node)
            known = self._stored.get(node.input[0]) if node.input else None
            if operator == "Constant":
                self._add_constant(node)
            elif known and operator in _SAME_SHAPE:
                self._stored[node.output[0]] = known
            elif known and operator == "Transpose":
                self._stored[node.output[0]] = _transposed(node, known)
            else:
                self._use(node)
            if operator in _CONVOLUTIONS:
                self._add_convolution(node)
            elif operator in _PRODUCTS:
                self._add_product(node)
        return Reading(list(self._layers.values()), self._left_out())

    def layer_names(self) -> dict[str, str]:
        """Return the name of every layer by its tensor, once the graph was read."""
        return {origin: str(layer["name"]) for origin, layer in self._layers.items()}

    def _use(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            if name in self._stored:
                self._uses.setdefault(self._stored[name].origin, set()).add(node.op_type)

    def _left_out(self) -> dict[str, str]:
        """Return why each stored tensor of two axes or more is not a layer."""
        reasons = {}
        for tensor in self._stored.values():
            if tensor.origin not in self._layers and len(tensor.shape) >= _MATRIX:
                users = ", ".join(sorted(self._uses.get(tensor.origin, {"no node of the graph"})))
                reasons[tensor.origin] = f"{len(tensor.shape)} axes, used by {users}"
        return reasons

    def _add_constant(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.name == "value":
                self._stored[node.output[0]] = _tensor(node.output[0], attribute.t)

    def _add_convolution(self, node: onnx.NodeProto) -> None:
        weight = self._stored.get(node.input[1])
        if weight is None:
            raise InvalidNetwork(
                f"the weight of {node.op_type} {node.name or node.output[0]!r} is not stored in "
                f"the file, but computed or given with the inputs: export the network with its "
                f"weights and with constants folded"
            )
        if len(weight.shape) not in _CONVOLUTION_AXES:
            return
        groups = _whole_number(node, "group", 1)
        if groups < 1:
            raise InvalidNetwork(f"{node.op_type} of {weight.origin!r} has {groups} groups")
        first, second, *kernel = weight.shape
        transposed = node.op_type == "ConvTranspose"
        out, n_in = (second * groups, first) if transposed else (first, second * groups)
        sides = (out, n_in)
        layer = convolution(_layer_name(weight), sides, kernel, groups, transposed=transposed)
        at, channels = (node.input[0], n_in) if transposed else (node.output[0], out)
        self._add(weight, layer, self._shapes.positions(at, channels))

    def _add_product(self, node: onnx.NodeProto) -> None:
        left, right = (self._stored.get(name) for name in node.input[:2])
        weight = left or right
        if weight is None or (left and right) or len(weight.shape) != _MATRIX:
            return
        # y = x·W has W (in, out), y = W·x has it (out, in); Gemm can transpose either.
        transposed = bool(_whole_number(node, "transA" if left else "transB", 0))
        shape = weight.shape if bool(left) != transposed else weight.shape[::-1]
        layer = linear(_layer_name(weight), shape)
        self._add(weight, layer, self._shapes.positions(node.output[0], shape[0]))

    def _add(self, weight: _Stored, layer: LayerDocument, positions: int | None) -> None:
        """Add a layer; a further use of its weight adds positions to it."""
        known = self._layers.setdefault(weight.origin, layer)
        if known is layer and positions:
            layer["positions"] = positions
        elif positions and "positions" in known:
            known["positions"] += positions
        else:
            known.pop("positions", None)


def _initializers(graph: onnx.GraphProto) -> Iterator[_Stored]:
    for tensor in graph.initializer:
        yield _tensor(tensor.name, tensor)
    for sparse in graph.sparse_initializer:
        _tensor(sparse.values.name, sparse.indices)
        values = _tensor(sparse.values.name, sparse.values)
        yield _Stored(values.origin, tuple(sparse.dims))


def _tensor(name: str, tensor: onnx.TensorProto) -> _Stored:
    """Return a tensor of the file, once its size is that of its data."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise InvalidNetwork(
            f"tensor {name!r} keeps its data in another file, which is not read: export with "
            f"external_data=False, or save onnx.load(path) as one file"
        )
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise InvalidNetwork(f"tensor {name!r} has the impossible shape {shape}")
    try:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        itemsize = tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError):
        raise InvalidNetwork(f"tensor {name!r} has no known type: {tensor.data_type}") from None
    bits = math.prod(shape) * _BITS.get(kind, 8 * itemsize)
    if tensor.HasField("raw_data"):
        held, wanted = len(tensor.raw_data), -(-bits // 8)
    else:
        held = len(getattr(tensor, tensor_dtype_to_field(tensor.data_type)))
        wanted = -(-bits // (8 * itemsize))
    if held != wanted:
        raise InvalidNetwork(
            f"tensor {name!r} of type {kind} and shape {shape} needs {wanted} bytes or values, "
            f"but has {held}: the file is damaged"
        )
    return _Stored(name, shape)


def _check_arity(node: onnx.NodeProto) -> None:
    if len(node.input) < _INPUTS[node.op_type] or not node.output:
        raise InvalidNetwork(
            f"{node.op_type} {node.name!r} has {len(node.input)} inputs and {len(node.output)} "
            f"outputs, too few: the file is damaged"
        )


def _transposed(node: onnx.NodeProto, value: _Stored) -> _Stored:
    order = [list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"]
    axes = order[0] if order else list(range(len(value.shape)))[::-1]
    if sorted(axes) != list(range(len(value.shape))):
        raise InvalidNetwork(f"{axes} is not a permutation of the axes of {value.origin!r}")
    return _Stored(value.origin, tuple(value.shape[axis] for axis in axes))


def _whole_number(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(given.i) for given in node.attribute if given.name == name), default)


def _layer_name(weight: _Stored) -> str:
    """Return the weight's name as a layer may be called."""
    name = re.sub(r"[^A-Za-z0-9_.:\-]+", ".", weight.origin.removesuffix(".weight"))
    return name.lstrip(".:-") or "weight"
