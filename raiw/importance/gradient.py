"""Importance by gradient, Eq. 10 of RAIW.

``s(e) = || 1/M sum_i d(sum of N(x_i)) / d theta_e ||`` over the kernel taps of edge ``e``. The
paper leaves open which scalar of the outputs is differentiated, where the magnitude is taken and
how a filter becomes one number; the defaults are the sum of all outputs, ``samples="signed"`` (the
mean first) and ``taps="l1"``.
"""

from raiw.graphs import Floats
from raiw.importance.averages import mean_output_gradients
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import norm


def measure(network: ScoredModel, *, samples: str, taps: str) -> dict[str, Floats]:
    """Return the norm over the taps of the outputs' mean gradient.

    ``samples="absolute"`` takes the mean of magnitudes instead, at one backward pass a sample.
    """
    means = mean_output_gradients(network, absolute=samples == "absolute")
    return {
        layer.name: norm(edges_of(layer, mean), taps) for layer, mean in network.by_layer(means)
    }
