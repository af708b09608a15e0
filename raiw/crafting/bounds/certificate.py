"""The certificate of a scored mask: how far its kept score can be from the best there is."""

import math
from dataclasses import dataclass

from raiw.crafting.bounds.descent import descend, likely
from raiw.crafting.bounds.potentials import settle
from raiw.crafting.bounds.prices import arcs_of, largest_magnitude, underpriced, upper_bound
from raiw.crafting.groups import group_graphs, group_scores
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_native
from raiw.kernels.exact import ExactSum, kept_score
from raiw.specs.plan import PlannedLayer

_ROUNDING = 2.0**-52
_PASSES = 16
_LARGE = 1 << 14
_NEAR = 1e-3
"""So far from a good bound a graph of so many edges is not optimal: no prices can settle on it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a graph keeps, and what no graph under its degree contract can exceed."""

    kept_score: float
    upper_bound: float

    @property
    def gap(self) -> float | None:
        """``(bound - kept)/|bound|``; 0 is proven optimal, None no finite number.

        >>> Certificate(99.0, 100.0).gap
        0.01
        """
        missing = self.upper_bound - self.kept_score
        if not missing:
            return 0.0
        gap = missing / abs(self.upper_bound) if self.upper_bound else math.inf
        return gap if math.isfinite(gap) else None


def certify_layer(planned: PlannedLayer, graph: Graph, scores: Scores | None) -> Certificate | None:
    """Return the certificate of a layer: that of its groups' graphs, added up.

    The graph keeps the degree contract. None where there are no scores, or where a sum is no
    finite number.
    """
    if scores is None or (kept := kept_score(graph, scores)) is None:
        return None
    bound = ExactSum()
    try:
        bound.add([_summing_margin(planned, graph.edges, scores)])
        for group, own in enumerate(group_graphs(planned, graph)):
            certificate = certify(own, group_scores(planned, group, scores))
            if certificate is None:
                return None
            bound.add([certificate.upper_bound])
        return Certificate(kept, bound.total())
    except OverflowError:
        return None


def _summing_margin(planned: PlannedLayer, edges: int, scores: Scores) -> float:
    """Return what the rounding of the sums of :func:`group_scores` can take from a kept score."""
    outputs = planned.group_outputs
    return (
        edges * outputs * largest_magnitude(as_native(scores)) * _ROUNDING if outputs > 1 else 0.0
    )


def certify(graph: Graph, scores: Scores) -> Certificate | None:
    """Return the certificate of a graph, from its edges and the ``(out, in)`` scores alone.

    The bound comes from prices found without the graph; where it is near, prices that settle on
    the edges of the graph are tried too, and meet the kept score of an optimal one. The same bits
    on every machine. Costs some tens of passes over the scores. None where a sum is no finite
    number.
    """
    scores = as_native(scores)
    kept = kept_score(graph, scores)
    if kept is None:
        return None
    bound = _bound(graph, scores, kept)
    return Certificate(kept, bound) if math.isfinite(bound) else None


def _bound(graph: Graph, scores: Scores, kept: float) -> float:
    edges = graph.edges
    prices, settled = descend(scores, edges)
    bound = upper_bound(scores, edges, prices)
    if settled and edges > _LARGE and bound - kept > _NEAR * abs(bound):
        return bound
    chosen = graph.union(likely(scores, prices, edges))
    for _ in range(_PASSES):
        prices, settled = settle(prices, arcs_of(chosen, scores), graph.among(chosen))
        more = underpriced(scores, prices, 0, chosen) if settled else None
        if more is None:
            break
        chosen = more
    return min(bound, upper_bound(scores, edges, prices))
