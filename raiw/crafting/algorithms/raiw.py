"""Algorithm ``raiw``: the most important edges first, under exact degrees.

Edges are visited by score, highest first, with ties in the random order of
:func:`raiw.crafting.randomness.edge_keys`: if all scores are equal, the graph is random. A vertex
may take an edge while its degree is below the floor of its side, or at the floor while fewer than
``m' mod n`` vertices of the side have gone above it (:mod:`raiw.crafting.degrees`). This is greedy
maximum-weight b-matching: with the tie rule its result is unique. It can stop short of ``m'``;
:mod:`raiw.crafting.completion` places the rest.

An edge scored -inf is never taken. ±0 are equal.

The pass does not sort all edges: ``raiw/kernels/native/greedy.hpp`` takes them in waves of falling
scores and drops the rows and columns that are full. Cost: a few reads of the scores.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 3.
"""

import numpy as np

from raiw import kernels
from raiw.crafting.built import Built
from raiw.crafting.completion import complete
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_native, cells


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges; costs a few reads of the scores.

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
        The graph, and how many edges the completion placed.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    scores = as_native(scores)
    bits = np.zeros((shape[0], -(-shape[1] // 8)), np.uint8)
    floors = np.empty(shape[0])
    kernels.greedy(cells(scores), bits, edges, stream.key, floors)
    completed = complete(scores, bits, edges, floors)
    return Built(Graph(shape, bits), completed)
