"""Importance by magnitude.

Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks, NIPS 2015.
"""

from raiw.graphs import Floats
from raiw.importance.scored_model import ScoredModel, edges_of
from raiw.importance.taps import norm


def measure(network: ScoredModel, *, taps: str) -> dict[str, Floats]:
    """Return the l1 or l2 norm of every filter."""
    return {layer.name: norm(edges_of(layer, layer.weight), taps) for layer in network.layers}
