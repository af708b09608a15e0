"""The shapes of the values of an ONNX graph, as far as the file gives them."""

import contextlib
import math

import onnx
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError, infer_shapes

_SMALL = 1024
"""Most values of a tensor that may be a shape itself, as of Reshape."""


class Shapes:
    """Shapes inferred for one input; what is not known stays away.

    Consumes the model: its tensors, functions and batch axes are not what they were.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        stored = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in stored]
        for value in inputs:
            axes = value.type.tensor_type.shape.dim
            if axes and not axes[0].HasField("dim_value"):
                axes[0].dim_value = 1
        _drop_tensors(graph)
        del model.functions[:]
        # Values stay unknown (data_prop): a few nodes can double a shape until memory ends.
        with contextlib.suppress(InferenceError, ValidationError, ValueError, RuntimeError):
            graph = infer_shapes(model, data_prop=False).graph
        values = (*graph.input, *graph.value_info, *graph.output)
        self._shapes = {value.name: _shape(value) for value in values}
        first = self._shapes.get(inputs[0].name) if inputs else None
        self._batch = first[0] if first else 1

    def positions(self, name: str, channels: int) -> int | None:
        """Return how many vectors of so many channels a value has for one input, None if unknown.

        The batch is the first axis of the network's first input; one of no fixed size counts
        as 1.
        """
        shape = self._shapes.get(name)
        if not shape or not all(shape):
            return None
        count, rest = divmod(math.prod(shape), max(1, channels * self._batch))
        return None if rest else count


def _drop_tensors(graph: onnx.GraphProto) -> None:
    """Leave only type and shape of what is not a shape itself, so that inference copies little."""
    given = {value.name for value in graph.input}
    small = []
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            small.append(tensor)
        elif tensor.name not in given:
            shape = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(shape)
    del graph.initializer[:]
    graph.initializer.extend(small)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return a value's shape with 0 for what is unknown, or nothing."""
    return tuple(max(0, axis.dim_value) for axis in value.type.tensor_type.shape.dim)
