"""Algorithm ``greedy_min``: edge by edge, the one that makes the von Neumann entropy smallest.

It ends in one dense block and unconnected vertices: the counterexample of Figure 2a, for
comparison. The step is that of :mod:`raiw.crafting.growth`.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Figure 2a.
"""

from raiw.crafting.built import Built
from raiw.crafting.growth import grow
from raiw.crafting.randomness import Stream
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges; costs as :func:`grow` says.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        Ignored.
    stream
        Ignored: nothing is drawn.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    TooLarge
        The graph would take hours.
    """
    return Built(grow(shape, edges, largest=False))
