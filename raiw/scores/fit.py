"""Whether an importance file fits a spec, judged by names, types and shapes alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from raiw.errors import InvalidImportance
from raiw.names import nearest
from raiw.readers.layers import STACKED
from raiw.specs.layers import Conv, Linear
from raiw.specs.spec import Spec
from raiw.tensors import Header, Tensor

SCORE_DTYPES = ("F16", "BF16", "F32", "F64")

_MAX_COMPARED_NAMES = 500


@dataclass(frozen=True, slots=True)
class Share:
    """Where a layer that is a part of a fused one lies in the tensor of the whole."""

    whole: str
    shape: tuple[int, int]
    """Shape of the whole tensor."""
    where: tuple[slice, ...]


def parts_of(spec: Spec) -> dict[str, Share]:
    """Return the layers of a spec whose fused weight lies one part after the other.

    >>> fused = [{"name": f"in_proj_weight.{part}", "kind": "linear", "in_features": 4,
    ...           "out_features": 4} for part in "qkv"]
    >>> parts_of(Spec.of_layers(fused, {}))["in_proj_weight.k"].where
    (slice(4, 8, None),)
    """
    layers = {layer.name: layer for layer in spec.layers if isinstance(layer, Linear)}
    parts = {}
    for name, layer in layers.items():
        whole, _, part = name.rpartition(".")
        for names in STACKED:
            siblings = [layers.get(f"{whole}.{other}") for other in names]
            if part not in names or None in siblings:
                continue
            ends = [0, *accumulate(other.out_features for other in siblings if other)]
            place = names.index(part)
            outputs = slice(ends[place], ends[place + 1])
            graph = ends[-1], layer.in_features
            parts[name] = (
                Share(whole, graph[::-1], (slice(None), outputs))
                if layer.transposed
                else Share(whole, graph, (outputs,))
            )
            break  # k and v beside a q are two of three
    return parts


def check_header(header: Header, spec: Spec) -> dict[str, Tensor]:
    """Return the tensor of every layer that needs scores, by layer name.

    A layer's tensor has the layer's name, with or without ``.weight``; if both exist, the one
    without counts. Its shape is the graph's ``(out, in/groups)`` or the weight's own. The tensor
    of a fused layer serves its parts. Layers that
    keep every edge need no scores, and tensors of no layer (biases, norms, counters of a
    checkpoint) are left alone. Reads no value, so the service can refuse a job at once.

    Raises
    ------
    InvalidImportance
        A layer has no tensor, or one of the wrong shape or type; the pointer names the layer.
    """
    parts = parts_of(spec)
    return {
        planned.name: _fused_tensor(header.tensors, planned.name, parts.get(planned.name))
        or _layer_tensor(header.tensors, planned.layer, f"/layers/{index}")
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


def _fused_tensor(tensors: Mapping[str, Tensor], layer: str, part: Share | None) -> Tensor | None:
    """Return the tensor of the whole that a layer without one of its own is a part of."""
    if part is None or layer in tensors or f"{layer}.weight" in tensors:
        return None
    tensor = tensors.get(part.whole) or tensors.get(f"{part.whole}.weight")
    fits = tensor and tensor.shape == part.shape and tensor.dtype in SCORE_DTYPES
    return tensor if fits else None


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
