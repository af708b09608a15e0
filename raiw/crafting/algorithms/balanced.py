"""Algorithm ``balanced``: the greedy pass on scores net of dual prices.

An edge between two vertices in demand costs their prices (:mod:`raiw.crafting.bounds.prices`); the
greedy pass on what is left comes within a fraction of a percent of the optimum. The better of this
graph and that of ``raiw`` is returned, so it never keeps less.

Source: linear-programming duality of the transportation polytope; no publication of this pass.
"""

import math

from raiw.crafting.algorithms.raiw import build as build_greedily
from raiw.crafting.bounds.descent import descend
from raiw.crafting.bounds.prices import reach, reduced_scores
from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.kernels.cells import Scores, as_native
from raiw.kernels.exact import ExactSum, kept_score


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges; costs some tens of passes over the scores.

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
        The better of the two graphs, and how many of its edges the completion placed.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    scores = as_native(scores)
    plain = build_greedily(shape, edges, scores=scores, stream=stream)
    total = ExactSum()
    levels = total.add_kept(scores, plain.graph.bits)
    try:
        kept = total.total()
    except OverflowError:
        return plain
    prices, _ = descend(scores, edges, levels, kept)
    if not reach(scores, prices) < math.inf:
        return plain
    priced = build_greedily(shape, edges, scores=reduced_scores(scores, prices), stream=stream)
    kept_priced = kept_score(priced.graph, scores)
    return priced if kept_priced is not None and kept_priced > kept else plain
