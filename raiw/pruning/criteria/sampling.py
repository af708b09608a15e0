"""Samples of a layer's inputs and outputs, as the moments a regression needs."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from raiw.crafting.randomness import Stream
from raiw.errors import InvalidInput
from raiw.graphs import Bools, Floats
from raiw.importance.positions import drawn_rows
from raiw.importance.regression import Moments
from raiw.pruning.groups import Member, Places
from raiw.pruning.prunable import PrunableModel
from raiw.pruning.running import call


@dataclass(eq=False)
class Samples:
    """Running sums over the samples of one layer, in double precision."""

    taps: int
    centred: bool
    """Whether the layer has a bias, which takes up the means."""
    count: int = 0
    input_sum: torch.Tensor | float = 0.0
    output_sum: torch.Tensor | float = 0.0
    input_products: torch.Tensor | float = 0.0
    cross_products: torch.Tensor | float = 0.0
    output_square: float = 0.0

    def add(self, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        """Add samples ``(T, n)`` and ``(T, m)``."""
        z, y = inputs.double(), outputs.double()
        self.count += len(z)
        self.input_sum = self.input_sum + z.sum(0)
        self.output_sum = self.output_sum + y.sum(0)
        self.input_products = self.input_products + z.T @ z
        self.cross_products = self.cross_products + y.T @ z
        self.output_square += float((y**2).sum())

    @property
    def mean_input(self) -> Floats:
        """Mean input, zeros for a layer without bias, ``(n,)``."""
        return self._mean(self.input_sum)

    @property
    def mean_output(self) -> Floats:
        """Mean output, zeros for a layer without bias, ``(m,)``."""
        return self._mean(self.output_sum)

    def moments(self) -> Moments:
        """Return the second moments, centred where the layer has a bias."""
        z, y = self.mean_input, self.mean_output
        inputs = _array(self.input_products) / self.count - np.outer(z, z)
        cross = _array(self.cross_products) / self.count - np.outer(y, z)
        square = self.output_square / self.count - float(y @ y)
        return Moments(inputs, cross, max(square, 0.0), self.taps)

    def _mean(self, total: torch.Tensor | float) -> Floats:
        mean = _array(total) / self.count
        return mean if self.centred else np.zeros_like(mean)


def _array(tensor: torch.Tensor | float) -> Floats:
    array: Floats = torch.as_tensor(tensor).cpu().numpy()
    return array


@torch.no_grad()
def sample(
    network: PrunableModel, reader: Member, positions: int, stream: Stream, outputs: Bools
) -> Samples:
    """Return samples of a layer: inputs from the pruned network, outputs from the original.

    Only the outputs that stay count. Where a layer reads other channels too, of a concatenation,
    what it makes of those is taken off its outputs.

    Raises
    ------
    InvalidInput
        The data holds no batch.
    """
    layer = reader.module
    original = network.original.get_submodule(reader.name)
    columns = columns_of(reader)
    weight = matrix_of(layer)[torch.from_numpy(outputs)]
    others = np.setdiff1d(np.arange(weight.shape[1]), columns)
    samples = Samples(len(columns) // (int(reader.channels.max()) + 1), layer.bias is not None)
    seen: dict[str, torch.Tensor] = {}
    watches = [
        layer.register_forward_pre_hook(lambda _, args: seen.update(inputs=args[0])),
        original.register_forward_hook(lambda _, __, output: seen.update(outputs=output)),
    ]
    random = torch.Generator().manual_seed(stream.key % (1 << 63))
    try:
        for batch in network.batches():
            call(network.model, batch)
            call(network.original, batch)
            z, y = drawn_rows(layer, seen["inputs"], seen["outputs"], positions, random)
            y = y[:, torch.from_numpy(outputs).to(y.device)].double()
            if len(others):
                y = y - z[:, others].double() @ weight[:, others].double().T
            samples.add(z[:, columns], y)
    finally:
        for watch in watches:
            watch.remove()
    if not samples.count:
        raise InvalidInput("there are no samples: give data with at least one batch")
    return samples


def columns_of(reader: Member) -> Places:
    """Return the columns of a layer's weight matrix that read a group, channel by channel."""
    order = np.argsort(reader.channels, kind="stable")
    taps = int(np.prod(getattr(reader.module, "kernel_size", ())))
    columns: Places = (reader.indices[order, None] * taps + np.arange(taps)).ravel()
    return columns


def matrix_of(layer: nn.Module) -> torch.Tensor:
    """Return a layer's weights as a matrix ``(outputs, inputs · taps)`` that shares its memory."""
    weight = layer.weight
    if not isinstance(weight, torch.Tensor):
        raise TypeError(type(layer))
    return weight.detach().flatten(1)
