"""Means of gradients over samples, summed in double precision in the order of the batches."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from raiw.importance.batches import sample, size_of
from raiw.importance.scored_model import ScoredModel


def mean_output_gradients(network: ScoredModel, *, absolute: bool) -> list[Tensor]:
    """Return ``1/M sum_i d(sum of outputs)/d theta``, or the mean of magnitudes, by weight."""
    sums = _Sums(network, absolute=absolute)
    for batch in network.batches():
        for part in sums.parts(batch):
            sums.add(network.outputs(part).sum(), size_of(part))
    return sums.means()


def mean_loss_gradients(network: ScoredModel, *, absolute: bool = False) -> list[Tensor]:
    """Return the mean gradient of the samples' losses, or of its magnitude, by weight."""
    sums = _Sums(network, absolute=absolute)
    for batch in network.batches():
        for part in sums.parts(batch):
            count = size_of(part)
            sums.add(network.mean_loss(part) * count, count)
    return sums.means()


class _Sums:
    def __init__(self, network: ScoredModel, *, absolute: bool) -> None:
        self._network = network
        self._absolute = absolute
        self._count = 0
        self._totals = [
            torch.zeros_like(p, dtype=torch.float64, requires_grad=False)
            for p in network.parameters
        ]

    def parts(self, batch: Any) -> Iterator[Any]:
        """Yield a batch as a whole, or sample by sample where each one's magnitude counts."""
        if not self._absolute:
            yield batch
            return
        for place in range(size_of(batch)):
            yield sample(batch, place)

    def add(self, value: Tensor, count: int) -> None:
        """Add the gradient of the sum of ``count`` samples."""
        for total, gradient in zip(self._totals, self._network.gradients(value), strict=True):
            total.add_(gradient.abs() if self._absolute else gradient)
        self._count += count

    def means(self) -> list[Tensor]:
        return [total / self._count for total in self._totals]
