"""First-order Taylor importance: ``|sum over taps of theta · dL/dtheta|`` of a filter.

Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, Eq. 8, for
the weights that one edge stands for.
"""

import numpy as np

from raiw.graphs import Floats
from raiw.importance.averages import mean_loss_gradients
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import added


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return how the loss changes to first order when an edge is removed."""
    means = mean_loss_gradients(network)
    return {
        layer.name: np.abs(added(edges_of(layer, layer.weight) * edges_of(layer, mean)))
        for layer, mean in network.by_layer(means)
    }
