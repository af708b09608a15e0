"""Crafting: one bipartite neural graph for every layer, with exact degrees.

An algorithm is a function ``build(shape, edges, *, scores, stream) -> Built`` for one bipartite
graph; :func:`craft_layer` runs it for every group of a layer and stacks the graphs by output.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raiw.algorithms import ALGORITHMS
from raiw.crafting.exact import ExactSum
from raiw.crafting.randomness import Stream
from raiw.errors import Infeasible
from raiw.graphs import Graph
from raiw.specs.plan import PlannedLayer

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Built:
    """What an algorithm returns for one bipartite graph."""

    graph: Graph
    completed: int = 0
    """Edges the greedy pass could not place and the completion did."""


@dataclass(frozen=True, slots=True)
class CraftedLayer:
    """The graph of one layer, all its groups stacked by output."""

    graph: Graph
    """Shape ``(out, in/groups)``."""
    completed: int
    """Edges the greedy pass could not place, over all groups."""
    kept_score: float | None
    """Sum of the kept scores, exact and rounded once; None where there are no scores, or where
    the sum is no finite number."""


def craft_layer(
    planned: PlannedLayer, algorithm: str, seed: int, scores: Scores | None
) -> CraftedLayer:
    """Craft one layer.

    Parameters
    ----------
    planned
        The layer with its exact number of edges.
    algorithm
        A name of :data:`raiw.algorithms.ALGORITHMS`.
    seed
        Seed of the algorithms that draw at random. Every group of every layer has a stream of
        its own, so neither the order of layers nor threads change a result.
    scores
        ``(out, in/groups)`` scores, validated: no NaN, no +inf; -inf forbids an edge. May be
        None for a layer that keeps every edge.

    Raises
    ------
    Infeasible
        Forbidden edges leave no graph that keeps the degree contract.
    """
    if planned.dense and scores is None:
        algorithm = "dense"
    build = ALGORITHMS[algorithm].load()
    rows, n_in = planned.group_shape
    built: list[Built] = []
    for group, edges in enumerate(planned.group_edges):
        own_scores = None if scores is None else scores[group * rows : (group + 1) * rows]
        stream = Stream(seed, planned.name, group)
        try:
            built.append(build((rows, n_in), edges, scores=own_scores, stream=stream))
        except Infeasible as error:
            raise Infeasible(
                f"layer {planned.name!r}: {error.message}", layer=planned.name, **error.details
            ) from None
    graph = Graph(planned.shape, np.concatenate([one.graph.bits for one in built]))
    kept = None if scores is None else kept_score(graph, scores)
    return CraftedLayer(graph, sum(one.completed for one in built), kept)


def kept_score(graph: Graph, scores: Scores) -> float | None:
    """Return the sum of the kept scores, or None where it is no finite number.

    The sum is exact and rounded once to float64, so no order of addition can change it.
    """
    total = ExactSum()
    total.add_kept(as_native(scores), graph.bits)
    try:
        return total.total()
    except OverflowError:
        return None


def as_native(scores: Scores) -> Scores:
    """Return the scores as the kernels read them: float32 or float64, contiguous by rows."""
    wide = scores.dtype.itemsize > np.float32().itemsize
    return np.ascontiguousarray(scores, np.float64 if wide else np.float32)
