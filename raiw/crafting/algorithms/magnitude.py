"""Algorithm ``magnitude``: the edges of highest score in the layer, ties in random order.

Degrees are left to the scores: vertices may end without an edge. The groups of a convolution are
ranked together. It is exact across layers too, with the edges that ``raiw budget --method global``
gives each layer.

Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS
2015, with a number of edges instead of a threshold.
"""

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.crafting.selection import best, require_allowed
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_wide


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of the ``edges`` highest scores; costs a partition of a copy of them.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        ``(out, in)`` scores in any unit, of float16, bfloat16, float32 or float64; higher is kept
        first, -inf never.
    stream
        Tells edges of equal score apart.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    Infeasible
        Fewer edges than that may be kept.
    """
    scores = as_wide(scores)
    kept = best(scores.reshape(1, -1), edges, stream).reshape(shape)
    require_allowed(kept, scores)
    return Built(Graph.from_bool(kept))
