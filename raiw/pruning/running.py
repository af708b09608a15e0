"""A network run on inputs of any form, and how far two runs are apart."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn

from raiw.errors import InvalidInput

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""What a network is called with: one tensor, several arguments, or arguments by name."""


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return what the network makes of its inputs."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


def without_labels(batch: Any, like: Inputs) -> Inputs:
    """Return a batch as inputs: of a pair with labels the first, where ``like`` is one tensor."""
    single = isinstance(like, torch.Tensor) and isinstance(batch, tuple | list)
    inputs: Inputs = batch[0] if single else batch
    return inputs


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of real numbers in a value, in order, however it is nested."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item)
    elif is_dataclass(value):
        yield from tensors([getattr(value, field.name) for field in fields(value)])


@torch.no_grad()
def outputs(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return the tensors that the network makes, without what autograd keeps."""
    return list(tensors(call(model, inputs)))


def check_runs(model: nn.Module, inputs: Inputs) -> None:
    """Require that the network runs on the inputs and makes numbers.

    Raises
    ------
    InvalidInput
        It does not.
    """
    try:
        made = outputs(model, inputs)
    except Exception as error:
        raise InvalidInput(
            f"the network cannot run on inputs of {described(inputs)}: {error}"
        ) from error
    if not made:
        raise InvalidInput("the network's outputs hold no tensor of real numbers to compare")


def described(inputs: Inputs) -> str:
    """Return the shapes of the inputs, in words.

    >>> described({"ids": torch.zeros(2, 3)})
    'shape ids (2, 3)'
    """
    if isinstance(inputs, torch.Tensor):
        return f"shape {tuple(inputs.shape)}"
    named = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    shapes = [f"{name} {tuple(getattr(value, 'shape', ()))}" for name, value in named]
    return f"shape {', '.join(shapes)}"


def difference(wanted: list[torch.Tensor], got: list[torch.Tensor]) -> float:
    """Return the largest relative difference of two runs: ``norm(got - wanted) / norm(wanted)``.

    Infinite where shapes differ, or where one is a number and the other is not.

    >>> difference([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 4.5])])
    0.1
    """
    if [one.shape for one in wanted] != [other.shape for other in got]:
        return torch.inf
    return max(map(_apart, wanted, got), default=0.0)


def _apart(wanted: torch.Tensor, got: torch.Tensor) -> float:
    wanted, got = wanted.double(), got.double()
    same = (wanted == got) | (wanted.isnan() & got.isnan())
    distance = torch.where(same, 0.0, got - wanted).norm().item()
    if distance == 0:
        return 0.0
    size = torch.where(wanted.isfinite(), wanted, 0.0).norm().item()
    return distance / size if size > 0 and distance == distance else torch.inf  # noqa: PLR0124 -- NaN
