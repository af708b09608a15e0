"""One neural graph over all layers of a network, as in Figure 2 of the paper.

Layers 0, 2, 4 … are one side of a bipartite graph, the others the second, and only consecutive
layers may be joined. Entropy then decides over the whole network at once. This is for comparison:
the middle layers of deeper networks starve (with 16-16-16-16 vertices and 256 edges, the middle
pair keeps 14), so :func:`raiw.craft` builds a graph for each layer, or with algorithm ``network``
one in which every layer has its planned edges.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithms 1 and
2, Figure 2.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raiw.crafting.growth import MAX_WORK, grow
from raiw.crafting.randomness import Stream
from raiw.errors import ImpossibleTarget, InvalidInput, TooLarge
from raiw.graphs import Bools, Graph
from raiw.names import check_name

NETWORK_ALGORITHMS = ("greedy", "greedy_min", "regular")


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """A graph over the vertices of a layered network."""

    widths: tuple[int, ...]
    """Vertices of each layer."""
    folded: Graph
    """Layers 1, 3, 5 … as outputs, layers 0, 2, 4 … as inputs: what statistics are taken of."""

    def layers(self) -> list[Graph]:
        """Return the ``(out, in)`` graph of each pair of consecutive layers."""
        kept = self.folded.to_bool()
        graphs = []
        for lower, (rows, columns) in enumerate(_pairs(self.widths)):
            block = kept[rows, columns]
            graphs.append(Graph.from_bool(block if lower % 2 == 0 else block.T))
        return graphs


def craft_network(
    widths: Sequence[int],
    edges: int,
    algorithm: Literal["greedy", "greedy_min", "regular"] = "greedy",
    seed: int = 0,
) -> NetworkGraph:
    """Craft one graph over a whole network of ``widths`` vertices a layer.

    ``greedy`` and ``greedy_min`` take edge by edge the one of largest or smallest entropy
    (Algorithm 1, from -∞, ties by lowest index in the folded graph); ``regular`` draws among the
    edges of smallest ``(d_u + 1)² + (d_v + 1)²`` (Algorithm 2, literally). None of them promises
    even degrees.

    Raises
    ------
    InvalidInput
        The widths do not make a network, or there is no such algorithm.
    ImpossibleTarget
        The network has fewer edges.
    TooLarge
        It would take hours.

    Examples
    --------
    >>> from raiw.statistics import measure
    >>> most = craft_network((5, 10, 5), 50, "greedy")
    >>> round(measure(most.folded).entropy, 3), [graph.edges for graph in most.layers()]
    (2.875, [25, 25])
    >>> round(measure(craft_network((5, 10, 5), 50, "greedy_min").folded).entropy, 3)
    2.554
    """
    widths = tuple(widths)
    if len(widths) < 2 or min(widths) < 1:  # noqa: PLR2004 -- an input and an output layer
        raise InvalidInput(
            f"widths {widths} make no network: give two layers or more, of 1 or more"
        )
    check_name(algorithm, NETWORK_ALGORITHMS, "algorithm for a whole network")
    allowed = _allowed(widths)
    possible = int(allowed.sum())
    if not 0 <= edges <= possible:
        nearest = min(max(edges, 0), possible)
        raise ImpossibleTarget(
            f"a network of {'-'.join(map(str, widths))} vertices has {possible} edges in all, "
            f"{edges} were asked for; the nearest feasible number is {nearest}",
            nearest=nearest,
        )
    if algorithm in {"greedy", "greedy_min"}:
        largest = algorithm == "greedy"
        return NetworkGraph(widths, grow(allowed.shape, edges, largest=largest, allowed=allowed))
    return NetworkGraph(widths, _spread(allowed, edges, seed))


def _pairs(widths: Sequence[int]) -> list[tuple[slice, slice]]:
    """Return rows and columns of the folded graph for each pair of consecutive layers."""
    places = []
    for side in (0, 1):
        ends = itertools.accumulate(widths[side::2])
        places.append([slice(end - n, end) for end, n in zip(ends, widths[side::2], strict=True)])
    ins, outs = places
    return [(outs[lower // 2], ins[(lower + 1) // 2]) for lower in range(len(widths) - 1)]


def _allowed(widths: Sequence[int]) -> Bools:
    allowed = np.zeros((sum(widths[1::2]), sum(widths[::2])), np.bool_)
    for rows, columns in _pairs(widths):
        allowed[rows, columns] = True
    return allowed


def _spread(allowed: Bools, edges: int, seed: int) -> Graph:
    """Draw each edge among those between vertices of least degrees, by the sum of squares."""
    if edges * allowed.size > MAX_WORK:
        raise TooLarge(
            f"{edges} edges among {allowed.size} cells would take hours; edges · cells may be "
            f"{MAX_WORK}: craft layer by layer",
            limit=MAX_WORK,
        )
    kept = np.zeros_like(allowed)
    out_degrees, in_degrees = (np.zeros(n, np.int64) for n in allowed.shape)
    words = np.random.Philox(key=Stream(seed, "network", 0).key).random_raw(edges)
    for word in words.tolist():
        cost = (out_degrees[:, np.newaxis] + 1) ** 2 + (in_degrees + 1) ** 2
        open_cost = np.where(allowed & ~kept, cost, np.iinfo(np.int64).max)
        least = np.flatnonzero(open_cost == open_cost.min())
        u, v = divmod(int(least[word * len(least) >> 64]), allowed.shape[1])
        kept[u, v] = True
        out_degrees[u] += 1
        in_degrees[v] += 1
    return Graph.from_bool(kept)
