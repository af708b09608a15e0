"""Algorithm ``random``: edges drawn uniformly, degrees left to chance.

Source: Dong et al., IJCAI 2019, the random baseline of Figure 1a.
"""

import numpy as np

from raiw.crafting import Built, kernels
from raiw.crafting.randomness import Stream
from raiw.crafting.scores import Scores
from raiw.graphs import Graph


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a graph with a uniformly random set of ``edges`` edges; O(edges)."""
    out, n_in = shape
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    left_out = out * n_in - edges
    kernels.uniform(bits, n_in, min(edges, left_out), stream.key)
    if left_out < edges:
        bits ^= np.packbits(np.ones(n_in, np.bool_), bitorder="little")
    return Built(Graph(shape, bits))
