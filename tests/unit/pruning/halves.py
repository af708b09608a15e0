"""Networks pruned by half, and how far the two that must agree are apart."""

import copy
from typing import Any

import torch
from torch import nn

from raiw.pruning.prune import Pruned, prune


def halved(model: nn.Module, inputs: Any, **guide: Any) -> Pruned:
    return prune(model, inputs, "l1_filter", channel_sparsity=0.5, **guide)


def difference_of_values(pruned: Pruned, inputs: torch.Tensor) -> float:
    """Compare again with other weights: those of a fresh network hide what is mixed up."""
    masked, smaller = copy.deepcopy(pruned.model), copy.deepcopy(pruned.smaller)
    for (name, large), (other, small) in zip(
        masked.named_parameters(), smaller.named_parameters(), strict=True
    ):
        assert name == other
        if large.shape == small.shape:
            large.data.copy_(small.data.normal_(0, 0.5))
        else:
            large.data.mul_(4)
            small.data.mul_(4)
    with torch.no_grad():
        return (masked(inputs) - smaller(inputs)).abs().max().item()
