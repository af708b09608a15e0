"""One parameter whose pruned weights are held at zero by hooks.

The module's own load hook owns the :class:`HeldMask`, so it lives as long as the module, and a deep
copy or pickle of the module holds a mask of its own. Parameters are looked up by name every time:
FSDP2, ``load_state_dict(assign=True)`` and others replace them.
"""

import math
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from raiw.applying.holding.zeroing import expand, local, pruned, zero
from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.masks import MaskSet


class HeldMask:
    """Holds the pruned weights of one parameter at zero until :meth:`remove`.

    Parameters
    ----------
    name
        Name of the layer, for messages.
    module, attribute
        Where the parameter is.
    kept
        Booleans that broadcast to the parameter.
    """

    source: MaskSet | None
    """The set the mask came with; None for plain tensors, and for copies and pickles."""

    def __init__(self, name: str, module: nn.Module, attribute: str, kept: Bools) -> None:
        self.name = name
        self._attribute = attribute
        self._set(kept)
        on_load = module.register_load_state_dict_post_hook(self._after_load)
        self._hold(module, on_load)
        self.enforce()

    def _set(self, kept: Bools) -> None:
        self._bits = np.packbits(kept)
        self._shape = kept.shape
        self._layout: tuple[Any, ...] | None = None

    def _hold(self, module: nn.Module, on_load: RemovableHandle) -> None:
        self.source = None
        self._module = weakref.ref(module)
        self._on_load = on_load
        self._on_gradient: RemovableHandle | None = None
        self._mask = torch.empty(0)
        _register(self)

    def __getstate__(self) -> dict[str, Any]:
        # The parameter goes along because its copy has no gradient hook yet.
        return {
            "name": self.name,
            "attribute": self._attribute,
            "bits": self._bits,
            "shape": self._shape,
            "module": self._module(),
            "parameter": self.parameter,
            "on_load": self._on_load,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name = state["name"]
        self._attribute = state["attribute"]
        self._bits = state["bits"]
        self._shape = state["shape"]
        self._layout = None
        self._hold(state["module"], state["on_load"])
        if state["parameter"] is not None:
            self._watch(state["parameter"])

    @property
    def module(self) -> nn.Module | None:
        """The module that has the parameter, None after its end."""
        return self._module()

    @property
    def parameter(self) -> nn.Parameter | None:
        """The parameter as it is now, None after the end of its module.

        Raises
        ------
        InvalidInput
            The module has no such parameter any more.
        """
        module = self._module()
        if module is None:
            return None
        parameter = getattr(module, self._attribute, None)
        if isinstance(parameter, nn.Parameter):
            return parameter
        raise InvalidInput(
            f"layer {self.name!r} lost its parameter {self._attribute!r}, so its mask cannot be "
            f"held: torch.nn.utils.prune, parametrize and FSDP1 replace it. Call handle.remove() "
            f"before them, or use FSDP2 (fully_shard)",
            layer=self.name,
        )

    def enforce(self) -> None:
        """Set the pruned weights to zero now, at the cost of one pass over the weight."""
        parameter = self.parameter
        if parameter is not None:
            self._watch(parameter)
            with torch.no_grad():
                zero(local(parameter), self._mask_for(parameter))

    def replace(self, kept: Bools, optimizers: Iterable[Optimizer]) -> None:
        """Hold another mask: weights that it adds start at zero, as does what optimisers keep.

        Parameters
        ----------
        kept
            Booleans that broadcast to the parameter.
        optimizers
            Those whose state of pruned and added weights is cleared.
        """
        self.enforce()
        self.clear(optimizers)
        self._set(kept)
        self.enforce()
        self.clear(optimizers)
        parameter = self.parameter
        if parameter is not None:
            self._after_gradient(parameter)

    def clear(self, optimizers: Iterable[Optimizer]) -> None:
        """Set to zero what optimisers keep of the pruned weights, such as momentum.

        Tensors in the shape of the weight are cleared; what stands for many weights is left alone.
        """
        parameter = self.parameter
        if parameter is None:
            return
        mask = self._mask_for(parameter)
        with torch.no_grad():
            for optimizer in optimizers:
                for value in optimizer.state.get(parameter, {}).values():
                    if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                        zero(local(value), mask)

    def revived(self) -> tuple[int, int]:
        """Return how many pruned weights are not zero, and how many are pruned, on this rank."""
        parameter = self.parameter
        if parameter is None or parameter.is_meta:  # without values there is none to revive
            return 0, 0
        with torch.no_grad():
            weights, mask = local(parameter), self._mask_for(parameter)
            kept = weights.clone()
            zero(kept, mask)
            count = int(torch.count_nonzero(weights) - torch.count_nonzero(kept))
            return count, int(torch.count_nonzero(pruned(mask)))

    def remove(self) -> None:
        """Stop holding; the weights stay as they are."""
        self._on_load.remove()
        if self._on_gradient is not None:
            self._on_gradient.remove()
        _unregister(self)

    def _watch(self, parameter: nn.Parameter) -> None:
        """Mask the gradients of this very parameter, and of no earlier one."""
        if not parameter.requires_grad or self._watches(parameter):
            return
        if self._on_gradient is not None:
            self._on_gradient.remove()
        self._on_gradient = parameter.register_post_accumulate_grad_hook(self._after_gradient)

    def _watches(self, parameter: nn.Parameter) -> bool:
        """Whether its hook is ours: a weak reference to it would block ``.double()``."""
        hooks = parameter._post_accumulate_grad_hooks  # noqa: SLF001 -- torch has no other word on it
        return self._on_gradient is not None and self._on_gradient.id in (hooks or ())

    def _after_gradient(self, parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            with torch.no_grad():
                zero(local(parameter.grad), self._mask_for(parameter))

    def _after_load(self, *_: Any) -> None:
        self.enforce()

    def _mask_for(self, parameter: torch.Tensor) -> torch.Tensor:
        """Return the mask of what this rank has of the parameter, made when its layout changes."""
        weights = local(parameter)
        layout = (
            weights.device,
            weights.dtype,
            weights.shape,
            weights.stride(),
            _shards(parameter),
        )
        if layout != self._layout:
            self._mask = expand(self._kept(parameter), weights)
            self._layout = layout
        return self._mask

    def _kept(self, parameter: torch.Tensor) -> torch.Tensor:
        if parameter.shape[:2] != self._shape[:2]:
            raise InvalidInput(
                f"layer {self.name!r}: the weight has become {tuple(parameter.shape)}, its mask is "
                f"for {self._shape[:2]}; FSDP1 flattens weights: use FSDP2 (fully_shard)",
                layer=self.name,
            )
        bits = np.unpackbits(self._bits, count=math.prod(self._shape)).reshape(self._shape)
        kept = torch.from_numpy(bits)
        shards = _shards(parameter)
        if shards is None:
            return kept
        from torch.distributed.tensor import distribute_tensor

        # Every rank has all of the mask and keeps its shard: src_data_rank=None sends nothing.
        return distribute_tensor(
            kept.expand(parameter.shape), *shards, src_data_rank=None
        ).to_local()


def held_masks(model: nn.Module) -> list[HeldMask]:
    """Return the masks that the modules of a model hold, in the model's order."""
    place = {module: index for index, module in enumerate(model.modules())}
    held = [(place[mask.module], mask.name, mask) for mask in _held if mask.module in place]
    return [mask for *_, mask in sorted(held, key=lambda each: each[:2])]


_held: weakref.WeakSet[HeldMask] = weakref.WeakSet()
_on_step: list[RemovableHandle] = []
"""The one hook on every optimiser's step, while any mask is held."""


def _register(mask: HeldMask) -> None:
    _held.add(mask)
    if not _on_step:
        _on_step.append(register_optimizer_step_post_hook(_after_step))


def _unregister(mask: HeldMask) -> None:
    _held.discard(mask)
    if not _held and _on_step:
        _on_step.pop().remove()


def _after_step(optimizer: Optimizer, *_: Any) -> None:
    stepped = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for mask in _held:
        if id(mask.parameter) in stepped:
            mask.enforce()


def _shards(tensor: Any) -> tuple[Any, Any] | None:
    """Return mesh and placements of a DTensor."""
    return (tensor.device_mesh, tensor.placements) if hasattr(tensor, "to_local") else None
