"""Algorithm ``random``: edges drawn uniformly, degrees left to chance.

Source: Dong et al., IJCAI 2019, the random baseline of Figure 1a.
"""

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.crafting.uniform import draw
from raiw.graphs import Graph
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a graph with a uniformly random set of ``edges`` edges; O(edges).

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
    return Built(Graph(shape, draw(shape, edges, stream.key)))
