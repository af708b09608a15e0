"""Algorithm ``nm``: the N best of each M consecutive inputs of every output, ties at random.

Without scores they are drawn uniformly. 2:4 is the pattern that sparse tensor cores multiply.

Source: Mishra et al., Accelerating Sparse Deep Neural Networks, arXiv 2104.08378; Zhou et al.,
Learning N:M Fine-grained Structured Sparse Neural Networks from Scratch, ICLR 2021.
"""

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.crafting.selection import best, require_allowed
from raiw.crafting.uniform import table
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_wide


def build(
    shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream, m: int
) -> Built:
    """Build the graph of N = ``edges·m/cells``; costs a ranking of every M scores.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, ``out·in·N/m``.
    scores
        ``(out, in)`` scores in any unit, of float16, bfloat16, float32 or float64; higher is kept
        first, -inf never. None to draw at random.
    stream
        What is drawn without scores comes from it alone; with scores it tells equals apart.
    m
        Consecutive inputs that share N edges; divides ``in``.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    Infeasible
        Fewer than N of some M inputs may be kept.
    """
    out, n_in = shape
    values = table(shape, stream) if scores is None else as_wide(scores)
    kept = best(values.reshape(-1, m), edges * m // (out * n_in), stream).reshape(shape)
    require_allowed(kept, values)
    return Built(Graph.from_bool(kept))
