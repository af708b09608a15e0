"""Algorithm ``random``: edges drawn uniformly, degrees left to chance.

Source: Dong et al., IJCAI 2019, the random baseline of Figure 1a.
"""

import numpy as np

from raiw.crafting import Built, Scores
from raiw.crafting.compiled import kernel
from raiw.crafting.randomness import State, Stream, below
from raiw.graphs import Bits, Graph


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a graph with a uniformly random set of ``edges`` edges; O(edges)."""
    out, n_in = shape
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    left_out = out * n_in - edges
    _draw(bits, n_in, min(edges, left_out), stream.state())
    if left_out < edges:
        bits ^= np.packbits(np.ones(n_in, np.bool_), bitorder="little")
    return Built(Graph(shape, bits))


@kernel
def _draw(bits: Bits, n_in: int, edges: int, state: State) -> None:
    """Draw cells until ``edges`` different ones are set; at most half of all."""
    while edges > 0:
        u, v = below(state, bits.shape[0]), below(state, n_in)
        mask = np.uint8(1 << (v & 7))
        if not bits[u, v >> 3] & mask:
            bits[u, v >> 3] |= mask
            edges -= 1
