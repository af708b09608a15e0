"""Importance by magnitude.

Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks, NIPS 2015.
"""

from raiw.importance.network import Floats, Network
from raiw.importance.taps import norm


def measure(network: Network, *, taps: str) -> dict[str, Floats]:
    """Return the l1 or l2 norm of every filter."""
    return {w.name: norm(w.edges(w.parameter), taps) for w in network.weights}
