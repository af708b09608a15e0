"""Random scores, the control of every comparison."""

import numpy as np

from raiw.crafting.randomness import Stream
from raiw.graphs import Floats
from raiw.importance.scored_model import ScoredModel, edges_of

_UNIT = 2.0**-53


def measure(network: ScoredModel) -> dict[str, Floats]:
    """Return scores drawn evenly from [0, 1), by the seed and the layer's name alone."""
    scores: dict[str, Floats] = {}
    for layer in network.layers:
        shape = edges_of(layer, layer.weight).shape[:2]
        words = np.random.Philox(key=Stream(network.seed, layer.name, 0).key)
        drawn = words.random_raw(int(np.prod(shape))) >> np.uint64(11)
        scores[layer.name] = drawn.reshape(shape).astype(np.float64) * _UNIT
    return scores
