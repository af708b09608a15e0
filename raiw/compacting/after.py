"""What follows a layer and can be done while its outputs are still in the cache."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
NORMS: tuple[type[Norm], ...] = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The batch norm that fits a layer, by its number of kernel axes."""


_READ = ("num_batches_tracked", "running_mean", "running_var", "weight", "bias")


class After(nn.Module):
    """A batch norm, a ReLU and a max pooling of squares, in this order; each may be missing."""

    def __init__(self, norm: Norm | None, *, relu: bool, pool: int = 1) -> None:
        super().__init__()
        self.norm = norm
        self.relu = relu
        self.pool = pool

    def forward(self, outputs: Tensor) -> Tensor:
        """Apply what follows, with ordinary operators."""
        if self.norm is not None:
            outputs = self.norm(outputs)
        if self.relu:
            outputs = functional.relu(outputs)
        return functional.max_pool2d(outputs, self.pool) if self.pool > 1 else outputs

    @property
    def norms(self) -> bool:
        """Whether there is a batch norm."""
        return self._modules.get("norm") is not None

    @property
    def is_fixed(self) -> bool:
        """Whether it does the same to every batch, as a batch norm in training does not."""
        norm = self._modules.get("norm")
        return norm is None or not norm.training

    def fits(self, places: list[int]) -> bool:
        """Tell whether pooling leaves anything of so many places along each axis."""
        return self.pool == 1 or min(places) >= self.pool

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Return all that is read: the counter shows when running means change."""
        norm = self._modules.get("norm")
        return () if norm is None else tensors_of(norm, *_READ)

    def affine(self, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return the scale and the shift that an evaluated batch norm makes with a layer's bias."""
        norm: Any = self.norm
        if norm is None:
            return None, bias
        with torch.no_grad():
            scale = torch.rsqrt(norm.running_var + norm.eps)
            if norm.weight is not None:
                scale = scale * norm.weight
            shift = (0 if bias is None else bias) - norm.running_mean
            shift = shift * scale
            return scale, shift if norm.bias is None else shift + norm.bias

    def extra_repr(self) -> str:
        """Name what is done besides the norm."""
        return f"relu={self.relu}, pool={self.pool}"


def tensors_of(module: nn.Module, *names: str) -> tuple[Tensor | None, ...]:
    """Return some of a module's own tensors; its attributes would take as long as a small layer."""
    own = module._parameters | module._buffers  # noqa: SLF001
    return tuple(own[name] if name in own else getattr(module, name) for name in names)


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
    return not isinstance(module, Norm) or (
        module.running_mean is not None and module.num_batches_tracked is not None
    )


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
