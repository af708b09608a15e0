"""Completion: the edges that the greedy pass could not place.

A vertex is *eligible* when it may take one more edge. After the greedy pass every eligible output
is adjacent to every eligible input, so no edge is free. Each step makes the swap of largest gain:
remove ``(x, y)``, add ``(u, y)`` and ``(x, v)``, with ``u`` and ``v`` eligible, ``u`` not adjacent
to ``y`` and ``x`` not adjacent to ``v``; the gain is ``(s(u,y) + s(x,v)) - s(x,y)`` in float64.

*A swap always exists.* Take eligible ``u`` and ``v``. ``v`` may take an edge, so some output ``x``
is not adjacent to it; ``x`` is not eligible. While tokens lie on the side, an ineligible vertex is
above the floor and an eligible one is not; when they are used up, the ineligible one has at least
the floor and the eligible one less. Either way ``x`` has a larger degree than ``u``, hence a
neighbour ``y`` that ``u`` has not. The same sentence shows that ``x`` and ``y``, whose degrees do
not change, stay ineligible: no edge ever becomes free, and the argument holds until ``m'``.

Ties go by index, not at random as in the greedy pass, for completed edges are few (of 52,224 edges
of equal score in a 1024 × 1024 graph 5 to 9) and the graphs as connected either way: for each ``y``
the highest-scored, then lowest-indexed ``u``; for each ``x`` likewise ``v``; then the lowest flat
index ``x·n_in + y``.

Edges scored -inf may not be added, and can leave no swap. Then a longer augmenting path is found
on the flow network of the contract: the floors are capacities of the vertices, the tokens of a
side one more node. Where no path is left, the flow is maximal and no graph keeps the contract.
"""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw import kernels
from raiw.crafting.degrees import may_take, share
from raiw.errors import Infeasible
from raiw.graphs import Bits, Bools, Floats, count_edges
from raiw.kernels.cells import Scores, cells


def complete(scores: Scores, bits: Bits, edges: int, floors: Floats) -> int:
    """Add edges to ``bits`` in place until there are ``edges``; return how many were missing.

    Parameters
    ----------
    floors
        Of every output a score that none of its edges is below, as the greedy pass notes it: most
        outputs need not be looked at then.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    missing = left = edges - count_edges(bits)
    while left:
        left -= kernels.complete(cells(scores), bits, edges, floors)
        if left and not _augment(bits, scores, edges):
            out, n_in = scores.shape
            raise Infeasible(
                f"{left} of {edges} edges cannot be placed in this {out} × {n_in} graph: every "
                f"graph with its degrees needs an edge scored -inf; score fewer edges -inf or "
                f"lower the target",
                missing=left,
            )
        floors = np.full(len(bits), -np.inf)
        left -= left > 0
    return missing


def _eligible(kept: Bools, edges: int) -> tuple[Bools, Bools]:
    """Return which outputs and which inputs may take an edge."""
    out, n_in = kept.shape
    return (
        may_take(kept.sum(axis=1), share(edges, out)),
        may_take(kept.sum(axis=0), share(edges, n_in)),
    )


def _augment(bits: Bits, scores: Scores, edges: int) -> bool:
    """Place one more edge along a shortest augmenting path; tell whether there is one.

    Nodes are the outputs, the inputs and the tokens of either side. An output on the path takes an
    edge, an input gives one up to it. An output above the floor that loses an edge frees a token,
    with which an output at the floor may take one; an input at the floor may take an edge when an
    input above the floor loses one.
    """
    out, n_in = scores.shape
    kept = np.unpackbits(bits, axis=1, count=n_in, bitorder="little").view(np.bool_)
    out_degrees, in_degrees = kept.sum(axis=1), kept.sum(axis=0)
    out_floor, in_floor = share(edges, out).floor, share(edges, n_in).floor
    out_tokens, in_tokens = out + n_in, out + n_in + 1
    free = ~kept & (scores > -np.inf)

    def neighbours(node: int) -> Any:
        if node == out_tokens:
            return np.flatnonzero(out_degrees <= out_floor)
        if node == in_tokens:
            return out + np.flatnonzero(in_degrees > in_floor)
        if node < out:
            ins = out + np.flatnonzero(free[node])
            return np.append(ins, out_tokens) if out_degrees[node] > out_floor else ins
        outs = np.flatnonzero(kept[:, node - out])
        return np.append(outs, in_tokens) if in_degrees[node - out] == in_floor else outs

    starts, ends = _eligible(kept, edges)
    path = shortest_path(np.flatnonzero(starts), out + np.flatnonzero(ends), neighbours)
    for here, there in pairwise(path):
        if max(here, there) < out_tokens:
            edge = min(here, there), max(here, there) - out
            kept[edge] = not kept[edge]
    bits[:] = np.packbits(kept, axis=1, bitorder="little")
    return bool(path)


def shortest_path(
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
    neighbours: Callable[[int], Any],
) -> list[int]:
    """Breadth-first search, lowest index first; empty if no end can be reached."""
    before = dict.fromkeys(starts.tolist(), -1)
    goal = set(ends.tolist())
    queue = deque(before)
    while queue:
        node = queue.popleft()
        if node in goal:
            path = [node]
            while (node := before[node]) >= 0:
                path.append(node)
            return path[::-1]
        for successor in neighbours(node).tolist():
            if successor not in before:
                before[successor] = node
                queue.append(successor)
    return []
