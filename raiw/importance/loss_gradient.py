"""Importance by the gradient of the loss: Eq. 10 of RAIW with the loss in place of the outputs."""

from raiw.importance.averages import mean_loss_gradients
from raiw.importance.network import Floats, Network
from raiw.importance.taps import norm


def measure(network: Network, *, samples: str, taps: str) -> dict[str, Floats]:
    """Return the norm over the taps of the loss's mean gradient."""
    means = mean_loss_gradients(network, absolute=samples == "absolute")
    return {
        weight.name: norm(weight.edges(mean), taps)
        for weight, mean in zip(network.weights, means, strict=True)
    }
