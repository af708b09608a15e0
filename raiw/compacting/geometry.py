"""How a layer reads its inputs: one description for linear layers and convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiw.errors import InvalidInput

KINDS: dict[type[nn.Module], int] = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
"""Layers that have compact forms, by kernel axes; subclasses may compute something else."""

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shapes and steps of a layer; a linear layer has no kernel axes."""

    outputs: int
    inputs: int
    groups: int = 1
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    around: tuple[int, ...] = ()
    """Padding before the layer, in the form of :func:`torch.nn.functional.pad`, where the layer's
    own is not enough: with values other than zero, or with more on one side."""
    mode: str = "zeros"

    @classmethod
    def of(cls, module: nn.Module) -> "Geometry":
        """Read a layer of :data:`KINDS`."""
        axes = KINDS[type(module)]
        layer: Any = module
        if not axes:
            return cls(layer.out_features, layer.in_features)
        sides = _sides(layer, axes)
        plain = layer.padding_mode == "zeros" and all(low == high for low, high in sides)
        return cls(
            layer.out_channels,
            layer.in_channels,
            layer.groups,
            tuple(layer.kernel_size),
            tuple(layer.stride),
            tuple(low for low, _ in sides) if plain else (0,) * axes,
            tuple(layer.dilation),
            () if plain else tuple(n for low, high in reversed(sides) for n in (low, high)),
            layer.padding_mode,
        )

    @property
    def axes(self) -> int:
        """Number of kernel axes."""
        return len(self.kernel)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape ``(out, in/groups, *kernel)`` of the dense weight."""
        return (self.outputs, self.inputs // self.groups, *self.kernel)

    def pad(self, inputs: Tensor) -> Tensor:
        """Return the inputs with the padding that the layer does not do itself."""
        if not self.around:
            return inputs
        mode = "constant" if self.mode == "zeros" else self.mode
        return functional.pad(inputs, self.around, mode=mode)

    def batched(self, inputs: Tensor) -> Tensor:
        """Return inputs of ``(batch, channels, *places)``; an image alone is a batch of one.

        Raises
        ------
        InvalidInput
            The layer does not read inputs of that shape.
        """
        if inputs.dim() == len(self.kernel) + 2 and inputs.shape[1] == self.inputs:
            return inputs
        if not self.axes:
            flat = inputs.reshape(-1, inputs.shape[-1]) if inputs.dim() else inputs
        else:
            flat = inputs if inputs.dim() > self.axes + 1 else inputs.unsqueeze(0)
        if flat.dim() != self.axes + 2 or flat.shape[1] != self.inputs:
            raise InvalidInput(
                f"the layer reads {self.inputs} channels over {self.axes} axes, not inputs of "
                f"shape {tuple(inputs.shape)}"
            )
        return flat

    def unbatched(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return outputs in the shape that belongs to such inputs."""
        if inputs.dim() == len(self.kernel) + 2:
            return outputs
        if not self.axes:
            return outputs.reshape(*inputs.shape[:-1], outputs.shape[1])
        return outputs if inputs.dim() > self.axes + 1 else outputs.squeeze(0)

    def places(self, inputs: Sequence[int]) -> list[int]:
        """Return how many outputs there are along each axis, given the inputs'."""
        steps = zip(inputs, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return [(n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, step, pad, gap in steps]

    def multiply(self, inputs: Tensor, weight: Tensor, groups: int, bias: Tensor | None) -> Tensor:
        """Return the dense product of batched inputs with ``(out, in/groups, *kernel)`` weights."""
        if not self.axes:
            return functional.linear(inputs, weight, bias)
        convolve = _CONVOLUTIONS[self.axes]
        return convolve(inputs, weight, bias, self.stride, self.padding, self.dilation, groups)


def _sides(layer: Any, axes: int) -> list[tuple[int, int]]:
    """Return the padding before and after each axis."""
    if layer.padding == "same":
        # As in torch, the odd one comes after.
        total = [gap * (k - 1) for gap, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(n // 2, n - n // 2) for n in total]
    if layer.padding == "valid":
        return [(0, 0)] * axes
    return [(n, n) for n in cast("tuple[int, ...]", layer.padding)]


def channels_of(inputs: Tensor, chosen: Tensor) -> Tensor:
    """Return chosen channels of batched inputs."""
    return torch.index_select(inputs, 1, chosen)
