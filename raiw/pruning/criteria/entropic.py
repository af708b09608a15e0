"""Entropic sparsification: find the input channels each layer needs, and fit its weights to them.

Layers are taken front to back. The inputs of a layer come from the network pruned so far, its
targets are what the original network computes there, before the activation; the regression of
:mod:`raiw.importance.regression` chooses the channels and least squares fits the weights on
those that stay. A channel is removed only where one layer makes it and one layer reads it: channels
that a residual connection adds up are left alone.

Source: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural
Networks, Neural Computation 2025. Sampling, order of the layers, normalisation of inputs and
outputs and the final fit are ours.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from raiw.crafting.randomness import Stream
from raiw.errors import InvalidInput
from raiw.graphs import Bools, Floats
from raiw.importance.regression import (
    Fit,
    Moments,
    check_strengths,
    fit,
    refit,
    relative_error,
)
from raiw.masks.channels import KeptFilters
from raiw.pruning.criteria.sampling import Samples, sample
from raiw.pruning.groups import Group, Member
from raiw.pruning.prunable import PrunableModel, Selection, check_sparsity


def select(
    network: PrunableModel,
    *,
    l2: float,
    entropy: float,
    channel_sparsity: float,
    sign: float,
    positions: float,
    seed: float,
) -> Selection:
    """Choose the channels and change the weights of ``network.model`` to go with them.

    Parameters
    ----------
    l2
        Weight of the ridge on the regression's matrix: more removes more channels.
    entropy
        Weight of the entropy of the channels' probabilities.
    channel_sparsity
        At least this share of every layer's channels goes; 0 leaves it to the two above.
    sign
        ``1``: the entropy is minimised, as the paper's abstract says; ``-1``: maximised, as in
        SPARTAn's code.
    positions
        Output positions drawn from every image, of a convolution.
    seed
        Decides which.

    Raises
    ------
    InvalidInput
        An option is out of range, or there are no samples.
    """
    check_strengths(l2, entropy, positions)
    if sign not in (1, -1):
        raise InvalidInput(f"sign={sign}: give 1 (minimise the entropy) or -1 (maximise it)")
    check_sparsity(channel_sparsity)
    groups = [group for group in network.prunable if _alone(group)]
    kept: KeptFilters = {}
    facts: dict[str, dict[str, float]] = {}
    for place, group in enumerate(groups, 1):
        reader = group.inputs[0]
        stream = Stream(int(seed), reader.name, 0)
        samples = sample(network, reader, int(positions), stream)
        most = max(1, round((1 - channel_sparsity) * group.size))
        regress = partial(fit, l2=l2, entropy=entropy, sign=int(sign), most=most)
        channels, kernel, facts[group.name] = _sparsify(reader.name, samples, regress)
        _store(reader.module, kernel, samples)
        kept |= group.spread(channels)
        network.on_layer(group.name, place, len(groups))
    return Selection(kept, facts)


def _alone(group: Group) -> bool:
    """Whether one layer makes the channels and one plain layer reads them, in order."""
    if len(group.filters) != 1 or len(group.inputs) != 1:
        return False
    reader = group.inputs[0]
    return isinstance(reader.module, nn.Linear | nn.Conv1d | nn.Conv2d) and _in_order(reader, group)


def _in_order(reader: Member, group: Group) -> bool:
    """Whether the reader's inputs are the group's channels, each the same number of times."""
    taps, rest = divmod(len(reader.indices), group.size)
    return rest == 0 and bool(
        np.array_equal(reader.indices, np.arange(len(reader.indices)))
        and np.array_equal(reader.channels, np.repeat(np.arange(group.size), taps))
    )


def _sparsify(
    name: str, samples: Samples, regress: Callable[[Moments], Fit]
) -> tuple[Bools, Floats, dict[str, float]]:
    """Return the channels that stay, the weight matrix on them, and how well it does."""
    moments = samples.moments()
    in_scale, out_scale = moments.scales()
    if not (in_scale > 0 and out_scale > 0):
        everything = np.ones(moments.channels, np.bool_)
        return everything, refit(moments, everything), {"error": 0.0}
    unit = moments.over(in_scale, out_scale)
    found = regress(unit)
    if not found.converged:
        warnings.warn(
            f"layer {name!r}: the regression stopped after {found.evaluations} evaluations, "
            f"{found.gap:.0e} of its objective from a minimum; other channels may be better",
            stacklevel=2,
        )
    channels = found.weights > 0
    kernel = refit(unit, channels)
    facts = {
        "error": relative_error(unit, kernel),
        "objective": found.objective,
        "gap": found.gap,
        "evaluations": float(found.evaluations),
    }
    return channels, kernel * (out_scale / in_scale), facts


@torch.no_grad()
def _store(layer: nn.Module, kernel: Floats, samples: Samples) -> None:
    """Write the weight matrix, and the bias that goes with it, into the layer."""
    weight, bias = layer.weight, layer.bias
    if isinstance(weight, torch.Tensor):
        weight.copy_(torch.from_numpy(kernel).reshape(weight.shape))
    if isinstance(bias, torch.Tensor):
        bias.copy_(torch.from_numpy(samples.mean_output - kernel @ samples.mean_input))
