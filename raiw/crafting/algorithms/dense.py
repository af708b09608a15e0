"""The complete bipartite graph."""

import numpy as np

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Return the graph with every edge.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        ``out·in``.
    scores
        Ignored.
    stream
        Ignored: nothing is drawn.

    Returns
    -------
    Built
        The graph.
    """
    out, n_in = shape
    row = np.packbits(np.ones(n_in, np.bool_), bitorder="little")
    return Built(Graph(shape, np.repeat(row[np.newaxis], out, axis=0)))
