"""The certificate of a scored mask: how far its kept score can be from the best there is."""

import math
from dataclasses import dataclass

from raiw.crafting import Scores, kept_score
from raiw.crafting.descent import descend, likely
from raiw.crafting.potentials import settle
from raiw.crafting.prices import arcs_of, upper_bound
from raiw.graphs import Graph


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a graph keeps, and what no graph under its degree contract can exceed."""

    kept_score: float
    upper_bound: float

    @property
    def gap(self) -> float:
        """``(bound - kept)/|bound|``; 0 is proven optimal.

        >>> Certificate(99.0, 100.0).gap
        0.01
        """
        missing = self.upper_bound - self.kept_score
        return missing / abs(self.upper_bound) if missing else 0.0


def certify(graph: Graph, scores: Scores) -> Certificate | None:
    """Return the certificate of a graph, from its edges and the ``(out, in)`` scores alone.

    The bound is the lower of two: of prices found without the graph, and of prices that settle on
    its edges, which meet the kept score where the graph is optimal. Both are the same bits on
    every machine. Costs some tens of passes over the scores. None where a sum is no finite number.
    """
    kept = kept_score(graph, scores)
    if kept is None:
        return None
    edges = graph.edges
    prices = descend(scores, edges)
    own = graph.to_bool()
    chosen = own | likely(scores, prices, edges)
    settled = settle(prices, arcs_of(chosen, scores), own[chosen])
    try:
        bound = min(upper_bound(scores, edges, each) for each in (prices, settled))
    except OverflowError:
        return None
    return Certificate(kept, bound) if math.isfinite(bound) else None
