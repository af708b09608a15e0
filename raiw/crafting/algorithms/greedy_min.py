"""Algorithm ``greedy_min``: edge by edge, the one that makes the von Neumann entropy smallest.

It ends in one dense block and vertices that no edge reaches: the counterexample of Figure 2a, to
compare with. The step is that of :mod:`raiw.crafting.growth`.
"""

from raiw.crafting.built import Built
from raiw.crafting.growth import grow
from raiw.crafting.randomness import Stream
from raiw.kernels.cells import Scores


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges.

    Raises
    ------
    TooLarge
        The graph would take hours.
    """
    return Built(grow(shape, edges, largest=False))
