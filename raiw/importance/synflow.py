"""Synaptic flow: ``theta · dR/dtheta`` in the network of magnitudes, for an input of ones.

``R`` is the sum of the outputs; scores are divided by it, because a network of thirty layers has a
flow beyond single precision. The paper prunes in a hundred small steps, computing the score anew
after each; this is the score of one step. Data gives the shape of the input and nothing else.

Source: Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic
flow, NeurIPS 2020.
"""

import copy

import torch

from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.importance.scored_model import ScoredModel, edges_of, layers_to_score, logits_of
from raiw.importance.taps import added


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return the share of the flow through every edge; it sums to 1 in every layer of a chain.

    Raises
    ------
    InvalidInput
        The model takes several inputs.
    """
    inputs = next(network.inputs())
    if not isinstance(inputs, torch.Tensor):
        raise InvalidInput("'synflow' needs a model of one input tensor: use 'magnitude'")
    positive = copy.deepcopy(network.model).double()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    layers = layers_to_score(positive)
    ones = torch.ones_like(inputs[:1], dtype=torch.float64)
    flow = logits_of(positive, ones).sum()
    gradients = torch.autograd.grad(
        flow, [layer.weight for layer in layers], allow_unused=True, materialize_grads=True
    )
    whole = flow.item() or 1.0  # without any flow every score is 0
    return {
        layer.name: added(edges_of(layer, layer.weight.detach() * gradient / whole))
        for layer, gradient in zip(layers, gradients, strict=True)
    }
