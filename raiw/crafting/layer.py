"""One layer crafted: a graph for each of its groups, stacked by output."""

from dataclasses import dataclass

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting.built import Built
from raiw.crafting.groups import group_scores, in_blocks
from raiw.crafting.randomness import Stream
from raiw.errors import Infeasible
from raiw.graphs import Graph
from raiw.kernels.cells import Scores
from raiw.specs.planned import PlannedLayer


@dataclass(frozen=True, slots=True)
class CraftedLayer:
    """The graph of one layer, all its groups stacked by output."""

    graph: Graph
    """Shape ``(out, in/groups)``."""
    completed: int
    """Edges that the greedy pass could not place, over all groups."""


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
    InvalidImportance
        The scores of a block sum to infinity.
    """
    if planned.dense and scores is None:
        algorithm = "dense"
    entry = ALGORITHMS[algorithm]
    build = entry.load()
    options = {name: getattr(planned, name) for name in entry.options}
    built: list[Built] = []
    for group, edges in enumerate(planned.group_edges):
        own = None if scores is None else group_scores(planned, group, scores)
        stream = Stream(seed, planned.name, group)
        try:
            built.append(build(planned.group_shape, edges, scores=own, stream=stream, **options))
        except Infeasible as error:
            raise Infeasible(
                f"layer {planned.name!r}: {error.message}", layer=planned.name, **error.details
            ) from None
    bits = built[0].graph.bits
    if len(built) > 1:
        bits = np.concatenate([one.graph.bits for one in built])
    return CraftedLayer(in_blocks(planned, bits), sum(one.completed for one in built))
