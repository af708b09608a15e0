"""Whether a layer's edges were chosen by score, or mostly at random among equal scores."""

import numpy as np

from raiw import kernels
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_native, cells

_SAMPLE = 1024


def tied_edges(graph: Graph, scores: Scores) -> int:
    """Return how many kept edges share the score that most of them have; 0 if there is none.

    They count only where other edges have that score too, so that a draw decided. Costs little if
    scores differ, otherwise a read of the kept ones and of others until one is tied.

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
    scores = as_native(scores)
    tied = kernels.count_tied(cells(scores), graph.bits, float(middle))
    return tied if 2 * tied > edges else 0


def _kept(graph: Graph, scores: Scores, rows: slice) -> Scores:
    """Return the scores of the edges of some rows."""
    bits = graph.bits[rows]
    kept = np.unpackbits(bits, axis=1, count=graph.shape[1], bitorder="little").view(np.bool_)
    return scores[rows][kept].astype(np.float64)
