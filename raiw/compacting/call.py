"""A layer's call of the kernel, made ready once: small layers would spend their time on that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from raiw.compacting import kernels
from raiw.compacting.after import After
from raiw.compacting.geometry import Geometry

Operands = Sequence[Tensor | None]

_NONE = np.zeros(0, np.float32)
_patterns: WeakIdKeyDictionary = WeakIdKeyDictionary()
"""What the kernel knows of a tensor of channels, with the version it was read at."""


class Call:
    """The kernel with all that it reads of a layer, for inputs of one shape on the CPU.

    Weights are read where they are. Of those that have to be copied, as 16-bit ones, no call is
    kept: not every write to a tensor shows. Copies of a layer start without a call.

    Parameters
    ----------
    batch
        Inputs like those it is meant for.
    tensors
        The layer's weights, bias, starts and channels, and whatever else ``after`` reads.
    after
        What follows, to be done by the kernel if it can.
    """

    def __init__(
        self, geometry: Geometry, batch: Tensor, tensors: Operands, after: After | None
    ) -> None:
        operands: Sequence[Any] = tensors[:4]
        weights, bias, starts, channels = operands
        places = geometry.places(batch.shape[2:])
        self.joins = after is not None and after.fits(places)
        """Whether what follows is done, too."""
        joined = after if after is not None and self.joins else After(None, relu=False)
        scale, shift = joined.affine(bias)
        self._layer = (
            _pattern(geometry, starts, channels),
            as_floats(weights),
            _NONE if scale is None else as_floats(scale),
            _NONE if shift is None else as_floats(shift),
            joined.relu,
            joined.pool,
        )
        self._axes = _axes(geometry, batch.shape[2:], places)
        self._shared = weights.shape[2]
        self._outputs = (len(batch), geometry.outputs, *(n // joined.pool for n in places))
        self._after = after
        self._batch = batch.shape, batch.dtype
        self._tensors = _identities(tensors)

    def fits(self, batch: Tensor, tensors: Operands, after: After | None) -> bool:
        """Tell whether this is what the call was made of, at the same places and unchanged."""
        if (
            self._tensors is None
            or (batch.shape, batch.dtype) != self._batch
            or not batch.is_cpu
            or after is not self._after
        ):
            return False
        for tensor, (known, place, version) in zip(tensors, self._tensors, strict=True):
            if tensor is not known:
                return False
            if tensor is not None and (
                tensor.data_ptr() != place or tensor._version != version  # noqa: SLF001
            ):
                return False
        return True

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the outputs, without a record for autograd."""
        outputs = batch.new_empty(self._outputs, dtype=torch.float32)
        kernels.run(
            *self._layer,
            as_floats(batch),
            self._outputs[0],
            self._axes,
            self._shared,
            torch.get_num_threads(),
            kernels.WIDEST,
            outputs.numpy(),
        )
        return outputs if batch.dtype is torch.float32 else outputs.to(batch.dtype)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def as_floats(tensor: Tensor) -> Any:
    """Return a tensor as a float32 array, contiguous by rows; a view where it can be one."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is not torch.float32:
        tensor = tensor.to(torch.float32)
    return tensor.contiguous().numpy()


def _read_in_place(tensor: Tensor) -> bool:
    return tensor.dtype is torch.float32 and tensor.is_contiguous()


def _identities(tensors: Operands) -> list[tuple[Tensor | None, int, int]] | None:
    """Return what shows a change of each tensor; None where nothing does."""
    if any(tensor is not None and tensor.is_inference() for tensor in tensors):
        return None
    if not all(tensor is None or _read_in_place(tensor) for tensor in tensors[:2]):
        return None
    return [
        (None, 0, 0) if tensor is None else (tensor, tensor.data_ptr(), tensor._version)  # noqa: SLF001 -- it has no other name
        for tensor in tensors
    ]


def _pattern(geometry: Geometry, starts: Tensor, channels: Tensor) -> Any:
    if channels.is_inference():  # nothing shows whether they were written to
        return _read_pattern(geometry, starts, channels)
    version = channels._version  # noqa: SLF001
    known = _patterns.get(channels)
    if known is None or known[0] != version:
        known = version, _read_pattern(geometry, starts, channels)
        _patterns[channels] = known
    return known[1]


def _read_pattern(geometry: Geometry, starts: Tensor, channels: Tensor) -> Any:
    first, fans = starts.to(torch.int64).numpy(), channels.contiguous().numpy()
    return kernels.pattern(first, fans, geometry.inputs)


def _axes(geometry: Geometry, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    """Return six numbers for each of three axes, the last ones being the layer's."""
    own = zip(
        *(inputs, outputs, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation),
        strict=True,
    )
    missing = [(1, 1, 1, 1, 0, 1)] * (3 - geometry.axes)
    return np.array([*missing, *own], np.int64).reshape(-1)
