"""Algorithm ``constant_fan_in``: every output keeps the same number of inputs.

Where the edges do not divide evenly, the outputs whose next best edge has the highest score get one
more, so that no graph with such degrees keeps more. Without scores, every output draws its inputs.

Source: Lasby et al., Dynamic Sparse Training with Structured Sparsity (SRigL), ICLR 2024. There a
fan-in counts single weights; here it counts filters.
"""

import numpy as np

from raiw.crafting.built import Built
from raiw.crafting.degrees import share
from raiw.crafting.randomness import Stream
from raiw.crafting.selection import best, require_allowed
from raiw.crafting.uniform import draw_rows
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_wide


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build the graph; costs a partition of every output's scores, or O(edges) draws.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        ``(out, in)`` scores in any unit, of float16, bfloat16, float32 or float64; higher is kept
        first, -inf never. None to draw at random.
    stream
        What is drawn without scores comes from it alone; with scores it tells equals apart.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    Infeasible
        An output may keep too few edges.
    """
    if scores is None:
        return Built(Graph(shape, draw_rows(shape, edges, stream)))
    scores = as_wide(scores)
    floor, spare = share(edges, shape[0])
    kept = best(scores, floor, stream)
    if spare:
        open_scores = np.where(kept, -np.inf, scores)
        following = best(open_scores, 1, stream).argmax(axis=1)
        rows = np.arange(shape[0])
        values, edges_after = open_scores[rows, following], rows * shape[1] + following
        more = best(values[np.newaxis], spare, stream, edges_after[np.newaxis])[0]
        kept[more, following[more]] = True
    require_allowed(kept, scores)
    return Built(Graph.from_bool(kept))
