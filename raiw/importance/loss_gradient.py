"""Importance by the gradient of the loss: Eq. 10 of RAIW with the loss in place of the outputs."""

from raiw.graphs import Floats
from raiw.importance.averages import mean_loss_gradients
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import norm


def measure(network: ScoredModel, *, samples: str, taps: str) -> dict[str, Floats]:
    """Return the norm over the taps of the loss's mean gradient."""
    means = mean_loss_gradients(network, absolute=samples == "absolute")
    return {
        layer.name: norm(edges_of(layer, mean), taps) for layer, mean in network.by_layer(means)
    }
