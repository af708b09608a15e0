"""Algorithm ``regular``: random edges between vertices of least degree.

Each step joins a pair drawn uniformly among the free pairs of a least-degree output and a
least-degree input. Where all those pairs are joined already, which the published algorithm does
not foresee, a random swap repairs it: for such a pair ``(u, v)``, an output ``x`` not adjacent to
``v`` gives one of its inputs ``y`` to ``u`` and takes ``v``. ``x`` has a larger degree than ``u``,
so there is a ``y`` that ``u`` has not. Degrees are thus always even on both sides: the degree
contract holds after every step. Expected cost O(m') while the graph is not nearly complete.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 2.
"""

import numpy as np

from raiw import kernels
from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a random graph of ``edges`` edges with even degrees.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        Ignored.
    stream
        What is drawn comes from it alone.

    Returns
    -------
    Built
        The graph.
    """
    out, n_in = shape
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    kernels.regular(bits, n_in, edges, stream.key)
    return Built(Graph(shape, bits))
