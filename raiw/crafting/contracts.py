"""Whether a graph is what its algorithm promised."""

import numpy as np

from raiw.algorithms import Contract
from raiw.crafting.degrees import even
from raiw.graphs import Bools, Graph
from raiw.specs.contracts import even_sides, reachable_edges


def breach(contract: Contract, graph: Graph, m: int = 4) -> str | None:
    """Return how a graph breaks a contract, or None if it keeps it.

    >>> breach(Contract.FAN_IN, Graph.from_bool(np.eye(3, dtype=bool)[:, :2]))
    >>> breach(Contract.REGULAR, Graph.from_bool(np.tri(3, dtype=bool)))
    'output degrees run from 1 to 3, their mean is 2'
    """
    sides = {"out": ("output", graph.out_degrees()), "in": ("input", graph.in_degrees())}
    for side in even_sides(contract, graph.shape):
        vertex, degrees = sides[side]
        if not even(degrees):
            return (
                f"{vertex} degrees run from {degrees.min()} to {degrees.max()}, "
                f"their mean is {degrees.mean():.6g}"
            )
    reachable = reachable_edges(contract, graph.shape, m)
    if reachable is None or graph.edges == graph.shape[0] * graph.shape[1]:
        return None
    if graph.edges not in reachable:
        return f"{graph.edges} edges, which no graph of the contract has"
    if contract is Contract.RADIX:
        return None
    kept = graph.to_bool()
    fault = _uneven_block(kept, m, "inputs")
    if fault is None and contract is Contract.TRANSPOSABLE_NM:
        fault = _uneven_block(kept.T, m, "outputs")
    return fault


def _uneven_block(kept: Bools, m: int, vertices: str) -> str | None:
    counts = kept.reshape(len(kept), -1, m).sum(axis=2)
    n = int(kept.sum()) * m // kept.size
    if (counts == n).all():
        return None
    row, block = (int(i) for i in np.argwhere(counts != n)[0])
    return (
        f"{counts[row, block]} of the {m} edges of vertex {row} to the {vertices} from {block * m} "
        f"are kept, not {n}"
    )
