"""Algorithm ``expander``: every vertex of the smaller side draws its neighbours.

If there are more inputs than outputs, each output draws its inputs; otherwise each input draws its
outputs. One side has even degrees, the other is left to chance.

Source: Prabhu, Varma and Namboodiri, Deep Expander Networks (X-Net), ECCV 2018.
"""

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.crafting.uniform import draw_rows
from raiw.graphs import Graph
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build the graph; O(edges) draws.

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
    if n_in > out:
        return Built(Graph(shape, draw_rows(shape, edges, stream)))
    turned = Graph((n_in, out), draw_rows((n_in, out), edges, stream))
    return Built(Graph.from_bool(turned.to_bool().T))
