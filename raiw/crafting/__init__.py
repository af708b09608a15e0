"""Crafting: one bipartite neural graph for every layer, with exact degrees.

An algorithm is a function ``build(shape, edges, *, scores, stream) -> Built`` for one bipartite
graph, with the options that its registry entry names; :func:`craft_layer` runs it for every group
of a layer and stacks the graphs by output.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting.exact import ExactSum
from raiw.crafting.randomness import Stream
from raiw.crafting.scores import Scores, as_native
from raiw.errors import Infeasible, InvalidImportance
from raiw.graphs import Graph
from raiw.specs.plan import PlannedLayer


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
    InvalidImportance
        The scores of outputs that share their inputs sum to infinity.
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
    if planned.group_outputs > 1:
        bits = np.repeat(bits, planned.group_outputs, axis=0)
    graph = Graph(planned.shape, bits)
    kept = None if scores is None else kept_score(graph, scores)
    return CraftedLayer(graph, sum(one.completed for one in built), kept)


def group_scores(planned: PlannedLayer, group: int, scores: Scores) -> Scores:
    """Return the scores of the graph crafted for one group, of shape ``planned.group_shape``.

    Outputs that share their inputs are one vertex: their scores are added in float64, one after
    the other, which fixes the rounding on every machine.

    Raises
    ------
    InvalidImportance
        A sum of finite scores is infinite.
    """
    rows, n_in = planned.group_shape
    outputs = planned.group_outputs
    own = scores[group * rows * outputs : (group + 1) * rows * outputs]
    if outputs == 1:
        return own
    total = np.zeros((rows, n_in))
    forbidden = np.zeros(total.shape, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for output in range(outputs):
            total += own[output::outputs]
            forbidden |= np.isneginf(own[output::outputs])
    total[forbidden] = -np.inf
    if not (np.isfinite(total) | forbidden).all():
        raise InvalidImportance(
            f"layer {planned.name!r}: the scores of {outputs} outputs sum to infinity: scale them "
            f"down",
            layer=planned.name,
        )
    return total


def group_graphs(planned: PlannedLayer, graph: Graph) -> Iterator[Graph]:
    """Yield the graph crafted for each group, of shape ``planned.group_shape``."""
    rows, _ = planned.group_shape
    bits = graph.bits[:: planned.group_outputs]
    for start in range(0, len(bits), rows):
        yield Graph(planned.group_shape, np.ascontiguousarray(bits[start : start + rows]))


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
