"""Whether an importance file fits a spec, judged by names, types and shapes alone."""

from collections.abc import Mapping

from raiw.errors import InvalidImportance
from raiw.names import nearest
from raiw.specs.layers import Conv, Linear
from raiw.specs.spec import Spec
from raiw.tensors import Header, Tensor

SCORE_DTYPES = ("F16", "BF16", "F32", "F64")

_MAX_COMPARED_NAMES = 500


def check_header(header: Header, spec: Spec) -> dict[str, Tensor]:
    """Return the tensor of every layer that needs scores, by layer name.

    A layer's tensor has the layer's name, with or without ``.weight``; if both exist, the one
    without counts. Its shape is the graph's ``(out, in/groups)`` or the weight's own. Layers that
    keep every edge need no scores, and tensors of no layer (biases, norms, counters of a
    checkpoint) are left alone. Reads no value, so the service can refuse a job at once.

    Raises
    ------
    InvalidImportance
        A layer has no tensor, or one of the wrong shape or type; the pointer names the layer.
    """
    return {
        planned.name: _layer_tensor(header.tensors, planned.layer, f"/layers/{index}")
        for index, planned in enumerate(spec.plan(scored=True).layers)
        if not planned.dense
    }


def dense_tensors(header: Header, spec: Spec) -> dict[str, Tensor]:
    """Return the tensors of layers that keep every edge, as far as they exist and fit."""
    found = {}
    for planned in spec.plan(scored=True).layers:
        layer = planned.layer
        tensor = header.tensors.get(layer.name) or header.tensors.get(f"{layer.name}.weight")
        shapes = (layer.graph_shape, layer.weight_shape)
        if planned.dense and tensor and tensor.dtype in SCORE_DTYPES and tensor.shape in shapes:
            found[layer.name] = tensor
    return found


def _layer_tensor(tensors: Mapping[str, Tensor], layer: Linear | Conv, pointer: str) -> Tensor:
    tensor = tensors.get(layer.name) or tensors.get(f"{layer.name}.weight")
    if tensor is None:
        hint = nearest(layer.name, list(tensors)[:_MAX_COMPARED_NAMES])
        raise InvalidImportance(
            f"no importance scores for layer {layer.name!r}{hint}: name a tensor {layer.name!r} "
            f"or '{layer.name}.weight', or make the layer dense by a rule",
            pointer=pointer,
            layer=layer.name,
        )
    if tensor.dtype not in SCORE_DTYPES:
        raise InvalidImportance(
            f"layer {layer.name!r}: importance tensor {tensor.name!r} is {tensor.dtype}; scores "
            f"must be one of {', '.join(SCORE_DTYPES)}",
            pointer=pointer,
            layer=layer.name,
        )
    if tensor.shape not in (layer.graph_shape, layer.weight_shape):
        raise InvalidImportance(
            f"layer {layer.name!r}: importance tensor {tensor.name!r} has the shape "
            f"{tensor.shape}, the spec asks for {_wanted(layer)}{_swapped(tensor.shape, layer)}",
            pointer=pointer,
            layer=layer.name,
        )
    return tensor


def _wanted(layer: Linear | Conv) -> str:
    if layer.weight_shape == layer.graph_shape:
        return f"(out, in) = {layer.graph_shape}"
    return f"(out, in/groups) = {layer.graph_shape} or the weight's own {layer.weight_shape}"


def _swapped(shape: tuple[int, ...], layer: Linear | Conv) -> str:
    """Say so when exchanging the first two axes would do."""
    exchanged = (*shape[1::-1], *shape[2:])
    if exchanged == layer.graph_shape:
        return ": it is transposed, outputs come first"
    if exchanged == layer.weight_shape:
        return ": its first two axes are exchanged"
    return ""
