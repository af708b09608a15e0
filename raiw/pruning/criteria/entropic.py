"""Entropic sparsification: find the channels that layers need, and fit their weights to them.

Layers are taken front to back. The inputs of a layer come from the network pruned so far, its
targets are what the original network computes there, before the activation; the regression of
:mod:`raiw.importance.regression` chooses the channels and least squares fits the weights on
those that stay. Channels that several layers read, as those that residual connections add to,
are chosen by one regression of all their readers. These then are fitted front to back, each on what
the ones before it make.

Source: Barisin and Horenko, Towards Generalized Entropic Sparsification for Convolutional Neural
Networks, Neural Computation 2025. The regression of several readers, sampling, order of the
layers, normalisation of inputs and outputs and the final fit are ours.
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
from raiw.names import check_name, listed
from raiw.pruning.criteria.sampling import Samples, columns_of, matrix_of, sample
from raiw.pruning.groups import Group, Member
from raiw.pruning.prunable import PrunableModel, Selection, check_sparsity


def select(  # noqa: PLR0913 -- the options that the registry names
    network: PrunableModel,
    *,
    l2: float,
    entropy: float,
    channel_sparsity: float,
    tied: str,
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
    tied
        Channels that several layers make or read: chosen ``jointly``, or ``left``.
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
    check_name(tied, ("jointly", "left"), "value of tied")
    if sign not in (1, -1):
        raise InvalidInput(f"sign={sign}: give 1 (minimise the entropy) or -1 (maximise it)")
    check_sparsity(channel_sparsity)
    obstacles = {
        group.name: _obstacle(network.model, group, jointly=tied == "jointly")
        for group in network.prunable
    }
    groups = [group for group in network.prunable if obstacles[group.name] is None]
    kept: KeptFilters = {}
    facts: dict[str, dict[str, float]] = {}
    for place, group in enumerate(groups, 1):
        draw = partial(_draw, network, kept, positions=int(positions), seed=int(seed))
        most = max(1, round((1 - channel_sparsity) * group.size))
        regress = partial(fit, l2=l2, entropy=entropy, sign=int(sign), most=most)
        channels, facts[group.name] = _sparsify(group, draw, regress)
        kept |= group.spread(channels)
        network.on_layer(group.name, place, len(groups))
    left = {
        member.name: reason
        for group in network.prunable
        if (reason := obstacles[group.name]) is not None
        for member in group.filters
    }
    if left:
        warnings.warn(
            f"{len(left)} layers keep all filters: "
            f"{listed([f'{name}: {reason}' for name, reason in left.items()], 4)}",
            stacklevel=2,
        )
    return Selection(kept, facts, left)


def _obstacle(model: nn.Module, group: Group, *, jointly: bool) -> str | None:
    """Return why no regression can choose the channels of a group."""
    if not jointly and len(group.filters) + len(group.inputs) > 2:  # noqa: PLR2004 -- one of each
        return "its channels are tied to others, and tied='left'"
    for member in group.filters:
        if len(set(member.channels)) < group.size:
            return f"{member.name!r} makes only some of the channels that go together"
    for reader in group.inputs:
        counts = np.bincount(reader.channels, minlength=group.size)
        if not isinstance(reader.module, nn.Linear | nn.Conv1d | nn.Conv2d):
            kind = type(reader.module).__name__
            return f"{reader.name!r} reads its channels: entropic cannot fit a {kind}"
        if counts.min() != counts.max():
            return f"{reader.name!r} reads some of its channels more often than others"
        if _places(model, reader) > 1:
            return f"{reader.name!r} reads its channels, with a weight that other layers share"
    return None


def _places(model: nn.Module, reader: Member) -> int:
    """Return in how many places of the model a layer's weight stands."""
    named = model.named_parameters(remove_duplicate=False)
    return sum(parameter is reader.module.weight for _, parameter in named)


def _draw(
    network: PrunableModel, kept: KeptFilters, reader: Member, *, positions: int, seed: int
) -> tuple[Samples, Bools]:
    """Return samples of a layer, and which of its outputs they hold: those that stay."""
    outputs = kept.get(reader.name, np.ones(len(matrix_of(reader.module)), np.bool_))
    return sample(network, reader, positions, Stream(seed, reader.name, 0), outputs), outputs


def _sparsify(
    group: Group, draw: Callable[[Member], tuple[Samples, Bools]], regress: Callable[..., Fit]
) -> tuple[Bools, dict[str, float]]:
    """Choose the channels that stay, fit every reader to them, and return how well that went."""
    drawn = [draw(reader) for reader in group.inputs]
    scaled = [_scaled(samples.moments()) for samples, _ in drawn]
    units = [unit for unit, scale in scaled if scale > 0]
    channels, facts = np.ones(group.size, np.bool_), {}
    if units:
        found = regress(*units)
        channels = found.weights > 0
        facts = {
            "objective": found.objective,
            "gap": found.gap,
            "evaluations": float(found.evaluations),
        }
        if not found.converged:
            warnings.warn(
                f"layer {group.inputs[0].name!r}: the regression stopped after "
                f"{found.evaluations} evaluations, {found.gap:.0e} of its objective from a "
                f"minimum; other channels may be better",
                stacklevel=2,
            )
    errors = []
    for place, reader in enumerate(group.inputs):
        # What reads behind a layer that was just fitted reads something else than before.
        samples, outputs = drawn[place] if place == 0 else draw(reader)
        unit, scale = _scaled(samples.moments())
        kernel = refit(unit, channels)
        errors.append(relative_error(unit, kernel))
        _store(reader, kernel * (scale or 1.0), samples, outputs)
    return channels, {"error": sum(errors) / len(errors)} | facts


def _scaled(moments: Moments) -> tuple[Moments, float]:
    """Return the moments of inputs and outputs of unit variance, and what turns weights back.

    Where inputs or outputs are always zero, the moments themselves and 0.
    """
    in_scale, out_scale = moments.scales()
    if not (in_scale > 0 and out_scale > 0):
        return moments, 0.0
    return moments.over(in_scale, out_scale), out_scale / in_scale


@torch.no_grad()
def _store(reader: Member, kernel: Floats, samples: Samples, outputs: Bools) -> None:
    """Write the weights of a group's channels, and the bias that goes with them."""
    matrix, bias = matrix_of(reader.module), reader.module.bias
    rows = np.flatnonzero(outputs)
    matrix[rows[:, None], columns_of(reader)] = torch.from_numpy(kernel).to(matrix)
    if isinstance(bias, torch.Tensor):
        bias[rows] = torch.from_numpy(samples.mean_output - kernel @ samples.mean_input).to(bias)
