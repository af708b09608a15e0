"""Connection sensitivity: ``|theta · dL/dtheta|``, divided by its sum over all weights.

Source: Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, ICLR 2019.
"""

import math

from raiw.graphs import Floats
from raiw.importance.averages import mean_loss_gradients
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import norm


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return the sensitivities, which sum to 1 over the network."""
    means = mean_loss_gradients(network)
    scores = {
        layer.name: norm(edges_of(layer, layer.weight) * edges_of(layer, mean), "l1")
        for layer, mean in network.by_layer(means)
    }
    total = math.fsum(float(layer.sum()) for layer in scores.values())
    return {name: layer / total for name, layer in scores.items()} if total > 0 else scores
