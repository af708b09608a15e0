"""Algorithm ``optimal``: the graph of largest kept score under the degree contract.

A minimum-cost flow from outputs to inputs: a vertex supplies or takes its floor, the spare edges
of a side pass through one node more, and an edge costs its negative score. The flow is solved on
the edges that are likely at the prices of :mod:`raiw.crafting.bounds.prices`, and priced on all of
them: edges that would improve it are added until there are none, which proves it optimal for scores
rounded to 2⁻⁴⁰ of the largest. Graphs of equal score are told apart by the solver.

Solver: cost-scaling push-relabel (Goldberg, J. Algorithms 22, 1997) of OR-tools.
"""

import numpy as np

from raiw.crafting.algorithms.raiw import build as build_greedily
from raiw.crafting.bounds.descent import descend, likely
from raiw.crafting.bounds.potentials import settle
from raiw.crafting.bounds.prices import Arcs, arcs_of, largest_magnitude, underpriced
from raiw.crafting.built import Built
from raiw.crafting.degrees import share
from raiw.crafting.randomness import Stream
from raiw.errors import MissingExtra
from raiw.graphs import Bools
from raiw.kernels.cells import Scores, as_native
from raiw.kernels.exact import ExactSum

_RESOLUTION = 2.0**40
_PRECISION = 2.0**-36


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of ``edges`` edges; costs a flow over a few times as many arcs.

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
        Breaks ties between edges of equal score where the search starts.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    MissingExtra
        OR-tools is not installed.
    """
    scores = as_native(scores)
    start = build_greedily(shape, edges, scores=scores, stream=stream)
    if edges in (0, scores.size):
        return start
    total = ExactSum()
    levels = total.add_kept(scores, start.graph.bits)
    try:
        kept_score = total.total()
    except OverflowError:
        kept_score = -np.inf
    prices, _ = descend(scores, edges, levels, kept_score)
    largest = largest_magnitude(scores) or 1.0
    chosen = start.graph.union(likely(scores, prices, edges))
    while True:
        arcs = arcs_of(chosen, scores)
        kept = _solve(arcs, shape, edges, largest)
        prices, _ = settle(prices, arcs, kept)
        more = underpriced(scores, prices, largest * _PRECISION, chosen)
        if more is None:
            return Built(chosen.pick(kept))
        chosen = more


def _solve(arcs: Arcs, shape: tuple[int, int], edges: int, largest: float) -> Bools:
    """Return which arcs the best graph keeps; the arcs hold some graph that keeps the contract."""
    try:
        from ortools.graph.python.min_cost_flow import SimpleMinCostFlow
    except ImportError:
        raise MissingExtra(
            "algorithm 'optimal' needs OR-tools; install it with: pip install 'raiw[optimal]'"
        ) from None
    out, n_in = shape
    out_share, in_share = share(edges, out), share(edges, n_in)
    outs, ins = np.arange(out), np.arange(out, out + n_in)
    out_spare, in_spare = out + n_in, out + n_in + 1

    flow = SimpleMinCostFlow()
    tails = np.repeat(outs, np.diff(arcs.indptr))
    costs = -np.rint(arcs.scores / largest * _RESOLUTION).astype(np.int64)
    own = flow.add_arcs_with_capacity_and_unit_cost(
        tails, out + arcs.indices, np.ones(len(tails), np.int64), costs
    )
    for tail, head in ((np.full(out, out_spare), outs), (ins, np.full(n_in, in_spare))):
        flow.add_arcs_with_capacity_and_unit_cost(
            tail, head, np.ones(len(tail), np.int64), np.zeros(len(tail), np.int64)
        )
    flow.set_nodes_supplies(outs, np.full(out, out_share.floor))
    flow.set_nodes_supplies(ins, np.full(n_in, -in_share.floor))
    flow.set_nodes_supplies([out_spare, in_spare], [out_share.spare, -in_share.spare])
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise RuntimeError(f"the flow solver ended with {status}")
    return np.asarray(flow.flows(own) > 0)
