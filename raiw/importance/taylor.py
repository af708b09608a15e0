"""First-order Taylor importance: ``|sum over taps of theta · dL/dtheta|`` of a filter.

Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, Eq. 8, for
the weights that one edge stands for.
"""

import numpy as np

from raiw.importance.averages import mean_loss_gradients
from raiw.importance.network import Floats, Network
from raiw.importance.taps import added


def measure(network: Network) -> dict[str, Floats]:
    """Return how the loss changes to first order when an edge is removed."""
    means = mean_loss_gradients(network)
    return {
        weight.name: np.abs(added(weight.edges(weight.parameter.detach() * mean)))
        for weight, mean in zip(network.weights, means, strict=True)
    }
