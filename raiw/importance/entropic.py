"""Importance by entropic regression: the probability of a weight's input channel, shared out.

Every layer is taken as it stands in the whole network. The regression of
:mod:`raiw.importance.regression` finds the probabilities ``w`` of its input channels, which sum to
1, and an edge ``(o, c)`` gets its share of its channel's::

    s(o, c) = w_c · |theta_oc| / sum_o' |theta_o'c|        spread="magnitude"
    s(o, c) = w_c / outputs                                spread="even"

with ``|theta_oc|`` the sum of magnitudes over the kernel taps. Each group of a grouped convolution
is a layer of its own here. A channel whose weights are all zero is shared evenly.

Source: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural
Networks, Neural Computation 2025, for the channels; how they spread to weights is ours.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from raiw.crafting.randomness import Stream
from raiw.graphs import Floats
from raiw.importance.positions import drawn_rows
from raiw.importance.regression import Moments, check_strengths, fit
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import norm
from raiw.names import listed
from raiw.readers.modules import ModuleLayer

_REGRESSED = (nn.Linear, nn.Conv1d, nn.Conv2d)


def measure(
    network: ScoredModel, *, spread: str, l2: float, entropy: float, positions: int
) -> dict[str, Floats]:
    """Return every edge's share of the probability of its channel; they sum to 1 in each group.

    Runs the network once a layer, so that one layer's moments are in memory at a time.

    Raises
    ------
    InvalidInput
        An option is out of range, or inputs or outputs are not finite numbers.
    """
    check_strengths(l2, entropy, positions)
    scores: dict[str, Floats] = {}
    unknown = []
    for layer in network.layers:
        edges = edges_of(layer, layer.weight)
        inputs = _read(network, layer, positions) if _plain(layer) else None
        probabilities = np.full((layer.groups, edges.shape[1]), 1 / edges.shape[1])
        if inputs is None or not inputs.count:
            unknown.append(layer.name)
        else:
            _regress(inputs.moments(), edges, probabilities, l2, entropy)
        scores[layer.name] = _shares(probabilities, norm(edges, "l1"), spread)
    if unknown:
        warnings.warn(
            f"'entropic' cannot regress {len(unknown)} of {len(scores)} layers, and counts their "
            f"channels alike: {listed(unknown)}; it can where a module that runs is a linear layer "
            f"or a convolution of one or two dimensions",
            stacklevel=3,
        )
    return scores


def _plain(layer: ModuleLayer) -> bool:
    """Whether the layer is all that one module computes, by the weight as it stands."""
    return isinstance(layer.module, _REGRESSED) and layer.attribute == "weight" and not layer.where


@dataclass(eq=False)
class _Inputs:
    """Running sums over what a layer reads, by group, in double precision."""

    layer: ModuleLayer
    positions: int
    random: torch.Generator
    count: int = 0
    total: Tensor | float = 0.0
    products: Tensor | float = 0.0

    def see(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """Add what the module has just read, at drawn positions."""
        rows, _ = drawn_rows(module, args[0], output, self.positions, self.random)
        grouped = rows.double().reshape(len(rows), self.layer.groups, -1).transpose(0, 1)
        self.total = self.total + grouped.sum(1)
        self.products = self.products + grouped.mT @ grouped
        self.count += len(rows)

    def moments(self) -> Floats:
        """Return ``E[z z']``, centred if the layer has a bias, ``(groups, n, n)``."""
        mean = torch.as_tensor(self.total).cpu().numpy() / self.count
        moments: Floats = torch.as_tensor(self.products).cpu().numpy() / self.count
        if self.layer.module.bias is not None:
            with np.errstate(invalid="ignore"):  # infinities are told by the scales
                moments -= mean[:, :, None] * mean[:, None, :]
        return moments


@torch.no_grad()
def _read(network: ScoredModel, layer: ModuleLayer, positions: int) -> _Inputs:
    """Run the network and return what the layer read."""
    random = torch.Generator().manual_seed(Stream(network.seed, layer.name, 0).key % (1 << 63))
    inputs = _Inputs(layer, positions, random)
    watch = layer.module.register_forward_hook(inputs.see)
    try:
        for batch in network.batches():
            network.outputs(batch)
    finally:
        watch.remove()
    return inputs


def _regress(
    inputs: Floats, edges: Floats, probabilities: Floats, l2: float, entropy: float
) -> None:
    """Fill in ``w`` by group; where inputs or outputs are constant, it stays even."""
    outputs = len(edges) // len(inputs)
    for group, moments in enumerate(inputs):
        weight = edges[group * outputs : (group + 1) * outputs].reshape(outputs, -1)
        cross = weight @ moments
        square = max(float((cross * weight).sum()), 0.0)
        whole = Moments(moments, cross, square, edges.shape[2])
        in_scale, out_scale = whole.scales()
        if in_scale > 0 and out_scale > 0:
            unit = whole.over(in_scale, out_scale)
            probabilities[group] = fit(unit, l2=l2, entropy=entropy).weights


def _shares(probabilities: Floats, magnitudes: Floats, spread: str) -> Floats:
    """Share each channel's probability among its edges: ``(out, in/groups)``."""
    by_group = magnitudes.reshape(len(probabilities), -1, magnitudes.shape[1])
    if spread == "even":
        by_group = np.ones_like(by_group)
    totals = by_group.sum(1, keepdims=True)
    by_group = np.where(totals > 0, by_group, 1.0)
    shares: Floats = probabilities[:, None, :] * by_group / by_group.sum(1, keepdims=True)
    return shares.reshape(magnitudes.shape)
