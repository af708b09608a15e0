"""What networks cost: operations, bytes, and time measured side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from raiw.applying.counts import count
from raiw.compacting import SECONDS
from raiw.compacting.choosing import state_bytes
from raiw.compacting.timing import shortest_times


@dataclass(frozen=True, slots=True)
class Cost:
    """What one network costs on inputs of one shape."""

    flops: int
    """Operations for one input."""
    bytes: int
    """Parameters and buffers."""
    seconds: float
    """For the inputs measured."""


def costs(
    networks: Sequence[nn.Module], inputs: torch.Tensor, seconds: float = 5 * SECONDS
) -> list[Cost]:
    """Return what each network costs; they take turns, and the shortest times count.

    Parameters
    ----------
    inputs
        A batch that all of them take.
    seconds
        Time to spend on measuring.
    """
    taken = shortest_times([partial(network, inputs) for network in networks], seconds)
    shape = tuple(inputs.shape[1:])
    return [
        Cost(count(network, None, shape).flops, state_bytes(network), time)
        for network, time in zip(networks, taken, strict=True)
    ]
