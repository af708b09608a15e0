"""Synaptic flow: ``theta · dR/dtheta`` in the network of magnitudes, for an input of ones.

``R`` is the sum of the outputs; scores are divided by it, because a network of thirty layers has a
flow beyond single precision. The paper prunes in a hundred small steps, computing the score anew
after each; this is the score of one step. Data gives the shape of the input and nothing else.

Source: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic
flow, NeurIPS 2020.
"""

import copy
from dataclasses import replace

import torch

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.importance.batches import inputs_of, logits_of
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import added


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return the share of the flow through every edge; it sums to 1 in every layer of a chain.

    Raises
    ------
    InvalidInput
        The model takes several inputs, or numbers of tokens, or cannot be copied.
    """
    inputs = inputs_of(next(network.batches()))
    if not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point():
        raise InvalidInput("'synflow' needs a model of one input tensor of reals: use 'magnitude'")
    positive = _positive(network)
    ones = torch.ones_like(inputs[:1], dtype=torch.float64)
    flow = logits_of(positive.model, ones).sum()
    gradients = positive.gradients(flow)
    whole = flow.item() or 1.0  # without any flow every score is 0
    return {
        layer.name: added(edges_of(layer, layer.weight) * edges_of(layer, gradient) / whole)
        for layer, gradient in positive.by_layer(gradients)
    }


def _positive(network: ScoredModel) -> ScoredModel:
    """Return the network of magnitudes, in double precision."""
    try:
        positive = copy.deepcopy(network.model).double()
    except RuntimeError as error:
        raise InvalidInput(f"'synflow' needs a copy of the model: {error}") from error
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    copies = dict(zip(network.model.modules(), positive.modules(), strict=True))
    layers = tuple(replace(layer, module=copies[layer.module]) for layer in network.layers)
    return replace(network, model=positive, layers=layers)
