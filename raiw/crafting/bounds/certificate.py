"""The certificate of a scored mask: how far its kept score can be from the best there is."""

import math
from dataclasses import dataclass

from raiw.crafting.bounds.descent import descend, likely
from raiw.crafting.bounds.potentials import settle
from raiw.crafting.bounds.prices import arcs_of, largest_magnitude, underpriced, upper_bound
from raiw.crafting.groups import group_graphs, group_scores
from raiw.graphs import Floats, Graph
from raiw.kernels.cells import Scores, as_native
from raiw.kernels.exact import ExactSum
from raiw.specs.planned import PlannedLayer

_ROUNDING = 2.0**-52
_PASSES = 16
_LARGE = 1 << 14
_NEAR = 1e-3
"""Gap to a good bound beyond which a graph cannot be optimal: no prices can settle on it."""


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


def certify_layer(
    planned: PlannedLayer, graph: Graph, scores: Scores, *, tight: bool
) -> Certificate | None:
    """Return the certificate of a layer: the sum of those of its groups' graphs.

    The graph keeps the degree contract. None if a sum is not finite.
    """
    if planned.graphs == planned.block.edges == 1:
        return certify(graph, scores, tight=tight)
    kept, bound = ExactSum(), ExactSum()
    try:
        bound.add([_summing_margin(planned, graph.edges, scores)])
        for group, own in enumerate(group_graphs(planned, graph)):
            own_scores = as_native(group_scores(planned, group, scores))
            own_kept = ExactSum()
            levels = own_kept.add_kept(own_scores, own.bits)
            kept.include(own_kept)
            bound.add([_bound(own, own_scores, levels, own_kept.total(), tight=tight)])
        if planned.block.edges > 1:
            kept = ExactSum()
            kept.add_kept(as_native(scores), graph.bits)
        return Certificate(kept.total(), bound.total())
    except OverflowError:
        return None


def _summing_margin(planned: PlannedLayer, edges: int, scores: Scores) -> float:
    """Return what the rounding of the sums of :func:`group_scores` can take from a kept score."""
    added = planned.block.edges
    return edges * added * largest_magnitude(as_native(scores)) * _ROUNDING if added > 1 else 0.0


def certify(graph: Graph, scores: Scores, *, tight: bool = True) -> Certificate | None:
    """Return the certificate of a graph, from its edges and the ``(out, in)`` scores alone.

    The bound comes from prices that a descent finds, starting from the graph's own. A quick bound
    stops after a few passes over the scores, when more are not worth their time. For a tight bound
    the descent goes on to its end. If the gap is then small, prices that settle on the graph's
    edges are tried too, and meet the kept score of an optimal graph; this takes some tens of
    passes. The bits are the same on every machine. None if a sum is not finite.
    """
    scores = as_native(scores)
    total = ExactSum()
    levels = total.add_kept(scores, graph.bits)
    try:
        kept = total.total()
    except OverflowError:
        return None
    bound = _bound(graph, scores, levels, kept, tight=tight)
    return Certificate(kept, bound) if math.isfinite(bound) else None


def _bound(
    graph: Graph, scores: Scores, levels: tuple[Floats, Floats], kept: float, *, tight: bool
) -> float:
    edges = graph.edges
    if edges in (0, scores.size):
        return kept  # there is no other graph
    prices, settled = descend(scores, edges, levels, kept, quick=not tight)
    bound = upper_bound(scores, edges, prices)
    if not tight or (settled and edges > _LARGE and bound - kept > _NEAR * abs(bound)):
        return bound
    chosen = graph.union(likely(scores, prices, edges))
    for _ in range(_PASSES):
        prices, settled = settle(prices, arcs_of(chosen, scores), graph.among(chosen))
        more = underpriced(scores, prices, 0, chosen) if settled else None
        if more is None:
            break
        chosen = more
    return min(bound, upper_bound(scores, edges, prices))
