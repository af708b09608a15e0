"""The product of a sparse layer as an operator of torch: eager, compiled, exported, trained.

Weights are ``(entries, taps, shared)``: for each group of ``shared`` outputs and each channel it
reads, one weight for every kernel tap and output. Sums are float32, those of 16-bit tensors too; on
other devices and in float64 the dense layer is multiplied.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from raiw.compacting.call import Call
from raiw.compacting.geometry import Geometry


@torch.library.custom_op("raiw::sparse_layer", mutates_args=())
def sparse_layer(  # noqa: PLR0913, PLR0917 -- the layer, flat, as torch's schemas are
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    starts: Tensor,
    channels: Tensor,
    sides: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Return the outputs ``(batch, out, *places)`` of inputs ``(batch, in, *places)``.

    Parameters
    ----------
    sides
        Numbers of outputs, inputs and groups of the dense layer.
    """
    geometry = _geometry(sides, kernel, stride, padding, dilation)
    operands = weights, bias, starts, channels
    if kernel_takes(inputs, weights):
        return Call(geometry, inputs, operands, None)(inputs)
    return multiply_dense(geometry, inputs, *operands)


@sparse_layer.register_fake
def _(  # noqa: PLR0913, PLR0917
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    starts: Tensor,
    channels: Tensor,
    sides: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    del weights, bias, starts, channels
    geometry = _geometry(sides, kernel, stride, padding, dilation)
    places = geometry.places(inputs.shape[2:])
    return inputs.new_empty((inputs.shape[0], geometry.outputs, *places))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    values, weights, bias, starts, channels, *steps = inputs
    ctx.save_for_backward(values, weights, starts, channels)
    ctx.geometry = _geometry(*steps)
    ctx.bias_type = None if bias is None else bias.dtype


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate by ordinary operators, through the dense weight."""
    inputs, weights, starts, channels = ctx.saved_tensors
    geometry: Geometry = ctx.geometry
    kind = torch.promote_types(inputs.dtype, weights.dtype)
    dense = dense_weight(geometry, weights, starts, channels).to(kind)
    to_inputs, to_dense = _gradients(
        geometry, gradient.to(kind), inputs.to(kind), dense, ctx.needs_input_grad
    )
    to_weights = None
    if to_dense is not None:
        flat = to_dense.reshape(*geometry.weight_shape[:2], -1)
        rows, columns = _places(geometry, starts, channels, weights.shape[2])
        grouped = flat.reshape(-1, weights.shape[2], *flat.shape[1:]).permute(0, 2, 3, 1)
        to_weights = grouped[rows, columns].to(weights.dtype)
    to_bias = None
    if ctx.bias_type is not None and ctx.needs_input_grad[2]:
        to_bias = gradient.sum([0, *range(2, gradient.dim())]).to(ctx.bias_type)
    if to_inputs is not None:
        to_inputs = to_inputs.to(inputs.dtype)
    return to_inputs, to_weights, to_bias, *(None,) * 7


sparse_layer.register_autograd(_backward, setup_context=_keep)


def _gradients(
    geometry: Geometry, gradient: Tensor, inputs: Tensor, dense: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    if not geometry.axes:
        to_inputs = gradient @ dense if needed[0] else None
        return to_inputs, gradient.T @ inputs if needed[1] else None
    to_inputs, to_dense, _ = torch.ops.aten.convolution_backward(
        gradient,
        inputs,
        dense,
        None,
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        False,  # noqa: FBT003 -- transposed
        [0] * geometry.axes,
        geometry.groups,
        [needed[0], needed[1], False],
    )
    return to_inputs, to_dense


def dense_weight(geometry: Geometry, weights: Tensor, starts: Tensor, channels: Tensor) -> Tensor:
    """Return the ``(out, in/groups, *kernel)`` weight with zeros where there is no edge."""
    _, taps, shared = weights.shape
    rows, columns = _places(geometry, starts, channels, shared)
    n_in = geometry.weight_shape[1]
    grouped = weights.new_zeros((geometry.outputs // shared, n_in, taps, shared))
    grouped = grouped.index_put((rows, columns), weights)
    return grouped.permute(0, 3, 1, 2).reshape(geometry.weight_shape)


def _places(
    geometry: Geometry, starts: Tensor, channels: Tensor, shared: int
) -> tuple[Tensor, Tensor]:
    """Return the group of outputs of every entry, and its input within the layer's own group."""
    count = geometry.outputs // shared
    rows = torch.repeat_interleave(
        torch.arange(count, device=starts.device),
        starts.diff().long(),
        output_size=channels.shape[0],
    )
    return rows, channels.long() % geometry.weight_shape[1]


def multiply_dense(
    geometry: Geometry,
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    starts: Tensor,
    channels: Tensor,
) -> Tensor:
    """Return the outputs where the kernel has none: other devices, float64, no inputs at all."""
    dense = dense_weight(geometry, weights, starts, channels).to(inputs.dtype)
    own = None if bias is None else bias.to(inputs.dtype)
    return geometry.multiply(inputs, dense, geometry.groups, own)


def kernel_takes(inputs: Tensor, weights: Tensor) -> bool:
    """Tell whether the kernel multiplies such tensors."""
    return (
        inputs.is_cpu and torch.float64 not in {inputs.dtype, weights.dtype} and inputs.numel() > 0
    )


def _geometry(
    sides: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Geometry:
    outputs, inputs, groups = sides
    steps = (tuple(kernel), tuple(stride), tuple(padding), tuple(dilation))
    return Geometry(outputs, inputs, groups, *steps)
