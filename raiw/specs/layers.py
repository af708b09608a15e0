"""Layers: the shapes a neural graph is built for.

A layer's weight is ``(out, in/groups, *kernel)`` as in PyTorch, for transposed layers
``(in, out/groups, *kernel)``. Its graph is always ``(out, in/groups)``: one edge is one weight of a
linear layer or one filter (all kernel taps) of a convolution. A grouped convolution is ``groups``
separate bipartite graphs stacked by output: group ``g`` owns rows ``g·out/groups`` onwards.
"""

import math
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from raiw.specs.document import WHOLE, Document
from raiw.specs.limits import AtMost

MAX_SIDE = 1 << 24
LayerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:\-]*$", max_length=200)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE, strict=True), WHOLE]
Positions = Annotated[int, Field(ge=1, le=1 << 40, strict=True), WHOLE]
KernelSize = Annotated[int, Field(ge=1, le=1024, strict=True), WHOLE]
Kernel = Annotated[
    Annotated[KernelSize, Tag("kernel_size:number")]
    | Annotated[tuple[KernelSize, ...], Field(min_length=1), AtMost(3), Tag("kernel_size:list")],
    Discriminator(
        lambda value: f"kernel_size:{'list' if isinstance(value, list | tuple) else 'number'}"
    ),
]

_TRANSPOSED = {"conv_transpose1d": 1, "conv_transpose2d": 2, "conv_transpose3d": 3}
_KERNEL_DIMENSIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3} | _TRANSPOSED


class Linear(Document):
    """A linear layer: weight ``(out_features, in_features)``; sides exchanged when transposed."""

    name: LayerName
    """Name of the layer, as in the network's state dict without the trailing ``.weight``."""
    kind: Literal["linear", "linear_transpose"]
    """``linear_transpose`` stores its weight ``(in_features, out_features)``, as GPT-2's Conv1D."""
    in_features: Side
    out_features: Side
    positions: Positions = 1
    """Vectors the layer is applied to for one input, such as tokens; only FLOPs need it."""

    @property
    def groups(self) -> int:
        """Number of separate graphs: always 1."""
        return 1

    @property
    def transposed(self) -> bool:
        """Whether inputs come first in the weight."""
        return self.kind == "linear_transpose"

    @property
    def taps(self) -> int:
        """Weights of one edge: always 1."""
        return 1

    @property
    def graph_shape(self) -> tuple[int, int]:
        """Shape ``(out, in)`` of the mask."""
        return self.out_features, self.in_features

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight tensor."""
        return self.graph_shape[::-1] if self.transposed else self.graph_shape


class Conv(Document):
    """A convolution: weight ``(out, in/groups, *kernel)``; sides exchanged when transposed."""

    name: LayerName
    """Name of the layer, as in the network's state dict without the trailing ``.weight``."""
    kind: Literal[
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"
    ]
    in_channels: Side
    out_channels: Side
    kernel_size: Kernel
    """One number for all dimensions, or one for each."""
    groups: Side = 1
    positions: Positions | None = None
    """Places the kernel is applied at for one input: height × width of the output, if transposed of
    the input; only FLOPs need it."""

    @model_validator(mode="after")
    def _consistent(self) -> "Conv":
        dimensions = _KERNEL_DIMENSIONS[self.kind]
        if isinstance(self.kernel_size, tuple) and len(self.kernel_size) != dimensions:
            raise ValueError(
                f"kernel_size has {len(self.kernel_size)} numbers, but {self.kind} has "
                f"{dimensions} kernel dimensions: give {dimensions} numbers, or one for all"
            )
        for side in ("in_channels", "out_channels"):
            channels = getattr(self, side)
            if channels % self.groups:
                raise ValueError(
                    f"{side}={channels} cannot be divided into groups={self.groups}: "
                    f"groups must divide in_channels and out_channels"
                )
        return self

    @property
    def transposed(self) -> bool:
        """Whether inputs come first in the weight."""
        return self.kind in _TRANSPOSED

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel size with one number for each dimension."""
        if isinstance(self.kernel_size, tuple):
            return self.kernel_size
        return (self.kernel_size,) * _KERNEL_DIMENSIONS[self.kind]

    @property
    def taps(self) -> int:
        """Weights of one edge: the product of the kernel size."""
        return math.prod(self.kernel)

    @property
    def graph_shape(self) -> tuple[int, int]:
        """Shape ``(out, in/groups)`` of the mask."""
        return self.out_channels, self.in_channels // self.groups

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight tensor."""
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel)
        return (*self.graph_shape, *self.kernel)


def packed_bytes(shape: tuple[int, int]) -> int:
    """Return the bytes of a packed mask of shape ``(out, in)``.

    >>> packed_bytes((3, 9))
    6
    """
    return shape[0] * -(-shape[1] // 8)


Layer = Annotated[Linear | Conv, Field(discriminator="kind")]
