"""Algorithm ``raiw``: the most important edges first, under exact degrees.

Edges are visited by score, highest first, ties by lowest flat index ``out·n_in + in``. A vertex
may take an edge while its degree is below the floor of its side, or at the floor while fewer than
``m' mod n`` vertices of the side have gone above it (:mod:`raiw.crafting.degrees`). This is greedy
maximum-weight b-matching: with the tie rule its result is unique. It can stop short of ``m'``;
:mod:`raiw.crafting.completion` places the rest.

An edge scored -inf is never taken. ±0 are equal.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 3.
"""

import numpy as np
import numpy.typing as npt

from raiw.crafting import Built, Scores
from raiw.crafting.compiled import kernel
from raiw.crafting.completion import complete
from raiw.crafting.degrees import share
from raiw.crafting.randomness import Stream
from raiw.graphs import Bools, Degrees, Graph


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges for an ``(out, in)`` array of scores.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    wide = scores.dtype.itemsize > np.float32().itemsize
    scores = np.ascontiguousarray(scores, np.float64 if wide else np.float32)
    kept = take_greedily(scores, edges)
    completed = complete(kept, scores, edges)
    return Built(Graph.from_bool(kept), completed)


def take_greedily(scores: Scores, edges: int) -> Bools:
    """Return the ``(out, in)`` edges of the greedy pass, at most ``edges`` of them."""
    out, n_in = scores.shape
    kept = np.zeros(scores.shape, np.bool_)
    degrees = np.zeros(out, np.int64), np.zeros(n_in, np.int64)
    order = np.argsort(-scores.ravel(), kind="stable")
    _take(order, scores, kept, *degrees, share(edges, out), share(edges, n_in))
    return kept


@kernel
def _take(
    order: npt.NDArray[np.int64],
    scores: Scores,
    kept: Bools,
    out_degrees: Degrees,
    in_degrees: Degrees,
    out_share: tuple[int, int],
    in_share: tuple[int, int],
) -> None:
    n_in = scores.shape[1]
    out_floor, out_tokens = out_share
    in_floor, in_tokens = in_share
    for edge in order:
        u, v = edge // n_in, edge % n_in
        if scores[u, v] == -np.inf:
            return
        if out_degrees[u] >= out_floor + (out_tokens > 0):
            continue
        if in_degrees[v] >= in_floor + (in_tokens > 0):
            continue
        out_tokens -= out_degrees[u] == out_floor
        in_tokens -= in_degrees[v] == in_floor
        out_degrees[u] += 1
        in_degrees[v] += 1
        kept[u, v] = True
