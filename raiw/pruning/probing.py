"""Trials of channel groups: the masked and the smaller network must compute the same.

A trace takes every operation that it does not know for one that keeps channels apart; attention,
shuffled channels and normalisations over channels are not. The trial runs on a copy with other
weights, because those of the network can hide a fault: a residual branch whose last scale is zero
adds nothing, whatever is wrong inside it.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from raiw.errors import CannotPrune
from raiw.graphs import Bools
from raiw.pruning.cutting import clear, cut
from raiw.pruning.groups import Group
from raiw.pruning.prunable import remove_lowest
from raiw.pruning.running import Inputs, difference, outputs

TOLERANCE = 1e-3
"""Largest relative difference of outputs that sums in another order may make."""

HALVES = (torch.float16, torch.bfloat16)

Readings = list[Group]
"""Readings of the same layers, the likeliest first."""


def stirred(model: nn.Module, inputs: Inputs) -> tuple[nn.Module, Inputs]:
    """Return a copy with weights that hide nothing, in single precision at least, and inputs.

    Weights are normal with the variance that keeps activations in range, vectors are uniform from
    0.5 to 1.5, constant inputs normal. Where that makes no finite numbers, the copy keeps its own.
    """
    random = torch.Generator().manual_seed(0)
    own = _moved(inputs, _single)
    noise = _moved(own, lambda tensor: _varied(tensor, random))
    twin = _precise(copy.deepcopy(model).eval())
    for parameter in twin.parameters():
        if parameter.is_floating_point():
            parameter.data.copy_(_drawn(parameter, random))
    try:
        finite = all(bool(one.isfinite().all()) for one in outputs(copy.deepcopy(twin), noise))
    except Exception:  # noqa: BLE001 -- some networks refuse numbers they do not know
        finite = False
    return (twin, noise) if finite else (_precise(copy.deepcopy(model).eval()), own)


def sound(
    model: nn.Module, candidates: Sequence[Readings], inputs: Inputs
) -> tuple[list[Group], dict[str, str]]:
    """Return the groups that stand the trial, and by layer why others do not."""
    found: list[Group] = []
    failed: dict[str, str] = {}
    left = list(candidates)
    while left:
        again = []
        reasons = _tried(model, [readings[0] for readings in left], inputs)
        for (group, *others), reason in zip(left, reasons, strict=True):
            if reason is None:
                found.append(group)
            elif others:
                again.append(others)
            else:
                failed |= {member.name: reason for member in group.filters}
        left = again
    return found, failed


def _tried(model: nn.Module, groups: Sequence[Group], inputs: Inputs) -> list[str | None]:
    """Return why each group fails, trying halves of those that fail together."""
    reason = _trial(model, groups, inputs)
    if reason is None or len(groups) == 1:
        return [reason] * len(groups)
    middle = len(groups) // 2
    return _tried(model, groups[:middle], inputs) + _tried(model, groups[middle:], inputs)


def _trial(model: nn.Module, groups: Sequence[Group], inputs: Inputs) -> str | None:
    choice = [(group, _half(group)) for group in groups]
    masked = copy.deepcopy(model)
    clear(masked, choice)
    try:
        smaller = cut(masked, choice)
        apart = difference(outputs(masked, inputs), outputs(smaller, inputs))
    except CannotPrune as error:
        return error.message
    except Exception as error:  # noqa: BLE001 -- whatever a network raises
        return f"the network cannot run without half of its channels ({_first_line(error)})"
    if apart <= TOLERANCE:
        return None
    return "the network computes something else without half of its channels than with zeros there"


def _half(group: Group) -> Bools:
    scores = np.random.default_rng(0).random(group.size)
    return remove_lowest(group, scores, group.size // 2)


def _drawn(parameter: nn.Parameter, random: torch.Generator) -> torch.Tensor:
    drawn = torch.empty(parameter.shape)
    if parameter.dim() < 2:  # noqa: PLR2004 -- a vector or a number
        return drawn.uniform_(0.5, 1.5, generator=random)
    reads = max(1, parameter.numel() // max(1, len(parameter)))
    return drawn.normal_(0, math.sqrt(2 / reads), generator=random)


def _varied(tensor: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Return the tensor, or normal numbers in place of a constant."""
    if (
        not tensor.is_floating_point()
        or tensor.numel() == 1
        or (tensor != tensor.flatten()[:1]).any()
    ):
        return tensor
    return torch.empty(tensor.shape).normal_(generator=random).to(tensor)


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in HALVES else tensor


def _precise(model: nn.Module) -> nn.Module:
    """Return the model in single precision at least, all its weights with gradients."""
    if any(tensor.dtype in HALVES for tensor in model.parameters()):
        model.float()
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_()
    return model


def _moved(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return the inputs with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _moved(one, change) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_moved(one, change) for one in value)
    return value


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
