"""What follows a layer and can be done while its outputs are still in the cache."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
NORMS: tuple[type[Norm], ...] = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The batch norm that fits a layer, by its number of kernel axes."""


class After(nn.Module):
    """A batch norm, a ReLU and a max pooling of squares, in this order; each may be missing."""

    def __init__(self, norm: Norm | None, *, relu: bool, pool: int = 1) -> None:
        super().__init__()
        self.norm = norm
        self.relu = relu
        self.pool = pool
        self._known: tuple[tuple[Tensor | None, ...], list[int], tuple[Tensor, Tensor]] | None
        self._known = None

    def forward(self, outputs: Tensor) -> Tensor:
        """Apply what follows, with ordinary operators."""
        if self.norm is not None:
            outputs = self.norm(outputs)
        if self.relu:
            outputs = functional.relu(outputs)
        return functional.max_pool2d(outputs, self.pool) if self.pool > 1 else outputs

    def fits(self, places: list[int]) -> bool:
        """Tell whether the kernel can do this to outputs with these numbers of places."""
        return not (self.norm is not None and self.norm.training) and (
            self.pool == 1 or min(places) >= self.pool
        )

    def affine(self, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return the scale and the shift that an evaluated batch norm makes with a layer's bias."""
        norm = self.norm
        if norm is None:
            return None, bias
        # Running means change without a new version number; the batch counter gets one.
        count = norm.num_batches_tracked
        tensors = (count, norm.running_mean, norm.running_var, norm.weight, norm.bias, bias)
        if count is None or any(t is not None and t.is_inference() for t in tensors):
            return _affine(norm, bias)
        versions = [t._version for t in tensors if t is not None]  # noqa: SLF001 -- it has no other
        known = self._known
        same = known is not None and all(a is b for a, b in zip(known[0], tensors, strict=True))
        if known is None or not same or known[1] != versions:
            known = tensors, versions, _affine(norm, bias)
            self._known = known
        return known[2]

    def extra_repr(self) -> str:
        """Name what is done besides the norm."""
        return f"relu={self.relu}, pool={self.pool}"


@torch.no_grad()
def _affine(norm: Any, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = (0 if bias is None else bias) - norm.running_mean
    shift = shift * scale
    return scale, shift if norm.bias is None else shift + norm.bias


class Followers:
    """The modules behind a layer in a :class:`torch.nn.Sequential` that :class:`After` stands for.

    Parameters
    ----------
    parent
        The sequence.
    names
        Names of these modules in it.
    """

    def __init__(self, parent: nn.Sequential, names: list[str]) -> None:
        self.parent = parent
        self.names = names

    @property
    def modules(self) -> list[nn.Module]:
        """The modules, in order."""
        return [self.parent.get_submodule(name) for name in self.names]

    def after(self) -> After:
        """Return what they do, as one module."""
        found = self.modules
        norm = next((m for m in found if isinstance(m, Norm)), None)
        pool = next((m.kernel_size for m in found if isinstance(m, nn.MaxPool2d)), 1)
        side = pool if isinstance(pool, int) else pool[0]
        return After(norm, relu=any(isinstance(m, nn.ReLU) for m in found), pool=side)

    def leave(self) -> None:
        """Replace them by identities."""
        for name in self.names:
            setattr(self.parent, name, nn.Identity())


def find_followers(parent: nn.Sequential, position: int, axes: int) -> Followers | None:
    """Return what follows a layer with so many kernel axes, None where nothing can be joined."""
    children = list(parent._modules.items())[position + 1 :]  # noqa: SLF001 -- repeated ones too
    wanted: list[type[nn.Module]]
    wanted = [NORMS[axes], nn.ReLU, nn.MaxPool2d] if axes == 2 else [NORMS[axes], nn.ReLU]  # noqa: PLR2004
    names = []
    for name, module in children:
        if type(module) is nn.Identity:
            continue
        if type(module) not in wanted or not _can_join(module):
            break
        names.append(name)
        wanted = wanted[wanted.index(type(module)) + 1 :]
    return Followers(parent, names) if names else None


def _can_join(module: Any) -> bool:
    if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001
        return False
    if isinstance(module, nn.MaxPool2d):
        sides = {_pair(module.kernel_size), _pair(module.stride)}
        return (
            len(sides) == 1
            and len({*sides.pop()}) == 1
            and _pair(module.padding) == (0, 0)
            and _pair(module.dilation) == (1, 1)
            and not module.ceil_mode
            and not module.return_indices
        )
    return not isinstance(module, Norm) or module.running_mean is not None


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
