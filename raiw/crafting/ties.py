"""Whether a layer's edges were chosen by score, or mostly at random among equal scores."""

import numpy as np

from raiw.graphs import Graph
from raiw.kernels.cells import Scores

_SAMPLE = 1024


def tied_edges(graph: Graph, scores: Scores) -> int:
    """Return how many kept edges share the score that most of them have; 0 if there is none.

    They count only where other edges have that score too, so that a draw decided. Costs little if
    scores differ, otherwise two reads of them.

    >>> tied_edges(Graph.from_bool(np.eye(3, dtype=bool)), np.zeros((3, 3)))
    3
    >>> tied_edges(Graph.from_bool(np.eye(3, dtype=bool)), np.eye(3))
    0
    """
    edges = graph.edges
    step = max(1, edges // _SAMPLE)
    some = _kept(graph, scores, slice(None, None, min(step, graph.shape[0])))
    if not some.size:
        return 0
    middle = np.partition(some, some.size // 2)[some.size // 2]
    if 2 * np.count_nonzero(some == middle) <= some.size:
        return 0
    tied = int(np.count_nonzero(_kept(graph, scores, slice(None)) == middle))
    if 2 * tied <= edges or np.count_nonzero(scores == scores.dtype.type(middle)) == tied:
        return 0
    return tied


def _kept(graph: Graph, scores: Scores, rows: slice) -> Scores:
    """Return the scores of the edges of some rows."""
    bits = graph.bits[rows]
    kept = np.unpackbits(bits, axis=1, count=graph.shape[1], bitorder="little").view(np.bool_)
    return scores[rows][kept].astype(np.float64)
