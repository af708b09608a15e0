"""What the kernel reads of a layer, kept from call to call: small layers spend their time there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Views:
    """Flat numpy views of tensors, and the kernel's pattern and axes, each made when it changes.

    A view is made anew where its tensor has another place in memory. A copy of the layer starts
    with none.
    """

    def __init__(self) -> None:
        self._floats: dict[str, tuple[Tensor, int, torch.Size, Any]] = {}
        self._pattern: tuple[Tensor, int, Any] | None = None
        self._axes: tuple[torch.Size, Any] | None = None

    def __reduce__(self) -> tuple[type["Views"], tuple[()]]:
        return Views, ()

    def floats(self, name: str, tensor: Tensor) -> Any:
        """Return the tensor as flat float32; in place where it is."""
        known = self._floats.get(name)
        if (
            known is not None
            and known[0] is tensor
            and known[1] == tensor.data_ptr()
            and known[2] == tensor.shape
            and tensor.is_contiguous()
        ):
            return known[3]
        view = as_floats(tensor)
        if tensor.dtype is torch.float32 and tensor.is_contiguous():
            self._floats[name] = tensor, tensor.data_ptr(), tensor.shape, view
        return view

    def pattern(self, channels: Tensor, make: Callable[[], Any]) -> Any:
        """Return the pattern of some channels, made anew when they were written to."""
        if channels.is_inference():  # nothing shows whether they were written to
            return make()
        version = channels._version  # noqa: SLF001 -- it has no other name
        known = self._pattern
        if known is None or known[0] is not channels or known[1] != version:
            known = self._pattern = channels, version, make()
        return known[2]

    def axes(self, places: torch.Size, make: Callable[[], Any]) -> Any:
        """Return the axes of inputs with these places."""
        known = self._axes
        if known is None or known[0] != places:
            known = self._axes = places, make()
        return known[1]


def as_floats(tensor: Tensor) -> Any:
    """Return a tensor as a flat float32 array, a view where it can be one."""
    own = tensor.detach()
    if own.dtype is not torch.float32:
        own = own.to(torch.float32)
    return own.reshape(-1).numpy()
