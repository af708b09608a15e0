"""Synaptic flow: ``theta · dR/dtheta`` in the network of magnitudes, for an input of ones.

``R`` is the sum of the outputs; scores are divided by it, because the flow of a network of thirty
layers exceeds single precision. The paper prunes in a hundred small steps and scores again after
each; this is the score of one step. Data only gives the shapes of the inputs, except for integers:
tokens and labels stay those of the first sample.

Source: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic
flow, NeurIPS 2020.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.importance.batches import inputs_of, logits_of, sample
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import added


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return the share of the flow through every edge; it sums to 1 in every layer of a chain.

    Raises
    ------
    InvalidInput
        The model cannot be copied, or cannot run in double precision.
    """
    ones = _ones(sample(inputs_of(next(network.batches())), 0))
    positive = _positive(network)
    flow = logits_of(positive.model, ones).sum()
    gradients = positive.gradients(flow)
    whole = flow.item() or 1.0  # without any flow every score is 0
    return {
        layer.name: added(edges_of(layer, layer.weight) * edges_of(layer, gradient) / whole)
        for layer, gradient in positive.by_layer(gradients)
    }


def _ones(inputs: Any) -> Any:
    """Return inputs in double precision, every real number replaced by one."""
    if isinstance(inputs, Mapping):
        return {name: _ones(value) for name, value in inputs.items()}
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return torch.ones_like(inputs, dtype=torch.float64)
    return inputs


def _positive(network: ScoredModel) -> ScoredModel:
    """Return the network of magnitudes, in double precision."""
    try:
        positive = copy.deepcopy(network.model).double()
    except RuntimeError as error:
        raise InvalidInput(f"'synflow' needs a copy of the model: {error}") from error
    with torch.no_grad():
        for parameter in positive.parameters():
            if parameter.is_complex():
                raise InvalidInput("'synflow' is for real weights, and the model has complex ones")
            parameter.abs_()
    copies = dict(zip(network.model.modules(), positive.modules(), strict=True))
    layers = tuple(replace(layer, module=copies[layer.module]) for layer in network.layers)
    return replace(network, model=positive, layers=layers)
