"""Algorithm ``network``: one graph over all layers, the most important edges of the network first.

Each layer reads what the one before it makes, so a *unit* between them has edges on both sides.
Every layer keeps its planned number of edges, and every unit the floor or the ceiling of the mean
of its layer, edges on both sides counted together: a unit may read more and be read less. Where a
layer has an edge for each unit of a side, each has one, since a unit that is never read, or reads
nothing, is dead. Edges are visited by score, highest first in the whole network, with ties in the
random order of :func:`raiw.crafting.randomness.edge_keys`; one is taken while its layer lacks edges
and both of its units may take one, as in :mod:`raiw.crafting.algorithms.raiw`, and have one left
for a side without. Augmenting paths place the rest.

*Such a graph always exists.* Edges join an even layer of units to an odd one, so degrees are a flow
from the even layers to the odd ones, through each unit's two sides. Every edge taken to the share
of its layer's edges that is planned gives each unit and side its mean. Where such a flow is, a flow
of whole edges is too. It fills the layers of units, and with them, from the first to the last, the
layers of edges.

The paper has one mean over all units of a side, so that middle layers starve; see
:mod:`raiw.crafting.network`. Cost: a sort of all scores, and a breadth-first search for each edge
that the pass could not place.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 3 over
a whole network; units' means and completion are ours.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from raiw.crafting.algorithms import raiw
from raiw.crafting.built import Built
from raiw.crafting.completion import shortest_path
from raiw.crafting.randomness import Stream, edge_keys
from raiw.errors import Infeasible
from raiw.graphs import Bools, Degrees, Graph
from raiw.kernels.cells import Scores
from raiw.specs.chains import inputs_by_unit
from raiw.specs.planned import PlannedLayer

EdgeNumbers = npt.NDArray[np.int64]

_CHUNK = 1 << 16


def build(shape: tuple[int, int], edges: int, *, scores: Scores, stream: Stream) -> Built:
    """Build the graph of a network of one layer, as :mod:`raiw.crafting.algorithms.raiw` does.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        ``(out, in)`` scores in any unit; higher is kept first, -inf never.
    stream
        Tells edges of equal score apart.

    Returns
    -------
    Built
        The graph, and how many edges the completion placed.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    return raiw.build(shape, edges, scores=scores, stream=stream)


def build_network(
    chain: Sequence[PlannedLayer], scores: Sequence[Scores | None], seed: int
) -> list[Built]:
    """Build the graphs of several layers as one.

    Parameters
    ----------
    chain
        The layers, each with its number of edges.
    scores
        ``(out, in)`` scores of each; None for layers that keep every edge.
    seed
        Orders edges of equal score.

    Raises
    ------
    Infeasible
        Edges scored -inf leave no graph that keeps the degree contract.
    """
    network = _Network(chain, scores, seed)
    network.take_best()
    taken = network.kept.copy()
    network.complete()
    placed = network.by_layer(network.kept & ~taken)
    return [
        Built(Graph.from_bool(kept), int(np.count_nonzero(new)))
        for kept, new in zip(network.by_layer(network.kept), placed, strict=True)
    ]


class _Network:
    """The edges of a chain, numbered layer by layer as ``out·n_in + in``, and its units.

    Units are numbered from the first layer's inputs on; side ``2·unit`` has the edges of the layer
    before, side ``2·unit + 1`` those of the layer behind. Layers that keep every edge give all
    units of a layer as many, so they are not counted.

    A side takes an edge from what is reserved for it, else from what its unit shares among its
    sides, else from the tokens of its layer of units, one of which a unit may have.
    """

    def __init__(
        self, chain: Sequence[PlannedLayer], scores: Sequence[Scores | None], seed: int
    ) -> None:
        self._shapes = [planned.shape for planned in chain]
        self._starts = [0, *accumulate(planned.cells for planned in chain)]
        self._inputs = inputs_by_unit(chain)
        self._edges = [0 if planned.dense else planned.edges for planned in chain]
        widths = [chain[0].shape[1] // self._inputs[0], *(one.shape[0] for one in chain)]
        self._first = [0, *accumulate(widths)]
        self._layer = np.repeat(np.arange(len(widths)), widths)
        sides = np.array([*pairwise([0, *self._edges, 0])])
        reserved = np.minimum(1, sides // np.array(widths)[:, np.newaxis])
        floor, self._spare = np.divmod(sides.sum(axis=1), widths)
        self._reserved: Degrees = reserved[self._layer]
        self._shared: Degrees = (floor - reserved.sum(axis=1))[self._layer]
        self._degrees: Degrees = np.zeros((len(self._layer), 2), np.int64)
        flat = [np.arange(planned.cells, dtype=np.int64) for planned in chain]
        streams = [Stream(seed, planned.name, 0) for planned in chain]
        self._keys = np.concatenate(list(map(edge_keys, flat, streams)))
        self._scores = np.concatenate(
            [
                np.full(planned.cells, -np.inf) if own is None else own.astype(np.float64).ravel()
                for planned, own in zip(chain, scores, strict=True)
            ]
        )
        self.kept: Bools = np.repeat(
            [planned.dense for planned in chain], [planned.cells for planned in chain]
        )

    def by_layer(self, edges: Bools) -> list[Bools]:
        """Return views of something known of every edge, ``(out, in)`` for each layer."""
        return [
            edges[start:end].reshape(shape)
            for (start, end), shape in zip(pairwise(self._starts), self._shapes, strict=True)
        ]

    def take_best(self) -> None:
        """Take edges by score while their layer lacks some and both units may have one more."""
        order = np.lexsort((self._keys, -self._scores))
        order = order[: np.count_nonzero(self._scores > -np.inf)]
        left, tokens = list(self._edges), self._spare.tolist()
        degrees, reserved = self._degrees.ravel().tolist(), self._reserved.ravel().tolist()
        shared, layer = self._shared.tolist(), self._layer.tolist()

        def may_take(side: int) -> bool:
            unit = side // 2
            return bool(
                degrees[side] < reserved[side]
                or shared[unit] > 0
                or (shared[unit] == 0 and tokens[layer[unit]])
            )

        def take(side: int) -> None:
            unit = side // 2
            if degrees[side] >= reserved[side]:
                tokens[layer[unit]] -= shared[unit] == 0
                shared[unit] -= 1
            degrees[side] += 1

        for start in range(0, len(order), _CHUNK):
            self._degrees[:] = np.reshape(degrees, (-1, 2))
            edges = order[start : start + _CHUNK]
            before, behind = self._sides(edges)
            eligible = self._eligible().ravel()
            some = np.flatnonzero(eligible[before] & eligible[behind])
            chosen = (values[some].tolist() for values in (edges, before, behind))
            for edge, one, other in zip(*chosen, strict=True):
                owner = layer[one // 2]
                if left[owner] and may_take(one) and may_take(other):
                    self.kept[edge] = True
                    left[owner] -= 1
                    take(one)
                    take(other)
        self._degrees[:] = np.reshape(degrees, (-1, 2))

    def complete(self) -> None:
        """Place the edges that are missing, each along a shortest augmenting path.

        Nodes are the sides of units, and for each layer of units its tokens. A side of an even
        layer on the path takes an edge, one of an odd layer gives one up to it, or it passes that
        on to another side that shares with it; see :mod:`raiw.crafting.completion`.

        Raises
        ------
        Infeasible
            No path is left, so no graph keeps the contract.
        """
        missing = sum(self._edges) - int(self._degrees.sum()) // 2
        even = np.repeat(self._layer % 2 == 0, 2)
        while missing:
            eligible = self._eligible().ravel()
            starts, ends = (np.flatnonzero(eligible & half) for half in (even, ~even))
            path = shortest_path(starts, ends, self._neighbours())
            if not path:
                raise Infeasible(
                    f"{missing} edges of the network cannot be placed: every graph with its "
                    f"degrees needs an edge scored -inf; score fewer edges -inf or lower the "
                    f"target",
                    missing=missing,
                )
            for here, there in pairwise(path):
                if max(here, there) < even.size and even[here] != even[there]:
                    self._flip(here, there)
            missing -= 1

    def _sides(self, edges: EdgeNumbers) -> tuple[EdgeNumbers, EdgeNumbers]:
        """Return the sides before and behind some edges."""
        own = np.searchsorted(self._starts, edges, side="right") - 1
        columns = np.array([shape[1] for shape in self._shapes])[own]
        outs, ins = np.divmod(edges - np.array(self._starts)[own], columns)
        first = np.array(self._first)
        before = first[own] + ins // np.array(self._inputs)[own]
        return 2 * before + 1, 2 * (first[own + 1] + outs)

    @property
    def _taken(self) -> Degrees:
        """What each unit has taken from what it shares; one more where it has a token."""
        taken: Degrees = np.maximum(self._degrees - self._reserved, 0).sum(axis=1)
        return taken

    def _eligible(self) -> Bools:
        """Tell which sides may take one more edge, ``(units, 2)``."""
        taken = self._taken
        used = np.bincount(self._layer, taken > self._shared, minlength=len(self._spare))
        tokens = (self._spare > used)[self._layer]
        room = (taken < self._shared) | ((taken == self._shared) & tokens)
        eligible: Bools = (self._degrees < self._reserved) | room[:, np.newaxis]
        return eligible

    def _neighbours(self) -> Callable[[int], Any]:
        """Return what tells the nodes that an augmenting path may go to from a node."""
        open_ = self._scores > -np.inf
        kept, free = self.by_layer(self.kept & open_), self.by_layer(~self.kept & open_)
        above = self._taken - self._shared
        lends = (self._degrees > self._reserved).ravel()
        sides = 2 * len(self._layer)

        def neighbours(node: int) -> Any:
            if node >= sides:
                return self._holders(node - sides, above, lends)
            unit, side = divmod(node, 2)
            at = int(self._layer[unit])
            takes = at % 2 == 0
            found = self._joined(free if takes else kept, unit, side, at)
            if lends[node if takes else node ^ 1]:
                found.append([node ^ 1])
            if above[unit] == takes and (lends[node] or not takes):
                found.append([sides + at])
            return np.concatenate(found).astype(np.int64)

        return neighbours

    def _holders(self, at: int, above: Degrees, lends: Bools) -> Any:
        """Return the sides that a token of a layer of units may go to, or be had from."""
        start, end = self._first[at : at + 2]
        holds = np.repeat(above[start:end] > 0, 2)
        return 2 * start + np.flatnonzero(
            ~holds if at % 2 == 0 else holds & lends[2 * start : 2 * end]
        )

    def _joined(self, edges: list[Bools], unit: int, side: int, at: int) -> list[Any]:
        """Return the sides that some of the edges join to a side."""
        own = unit - self._first[at]
        if side == 0 and at > 0:
            row = edges[at - 1][own].reshape(-1, self._inputs[at - 1])
            return [2 * (self._first[at - 1] + np.flatnonzero(row.any(axis=1))) + 1]
        if side == 1 and at < len(edges):
            column = edges[at][:, self._columns(at, own)]
            return [2 * (self._first[at + 1] + np.flatnonzero(column.any(axis=1)))]
        return [np.zeros(0, np.int64)]

    def _columns(self, at: int, own: int) -> slice:
        return slice(own * self._inputs[at], (own + 1) * self._inputs[at])

    def _flip(self, here: int, there: int) -> None:
        """Take the first free edge between two sides, or give up the first one that is kept."""
        before, behind = sorted((here // 2, there // 2))
        at = int(self._layer[before])
        columns = self._columns(at, before - self._first[at])
        start = self._starts[at] + (behind - self._first[at + 1]) * self._shapes[at][1]
        edges = np.arange(start + columns.start, start + columns.stop)
        takes = bool(self._layer[here // 2] % 2 == 0)
        can = (self.kept[edges] != takes) & (self._scores[edges] > -np.inf)
        self.kept[edges[np.argmax(can)]] = takes
        for side in (here, there):
            self._degrees[side // 2, side % 2] += 1 if takes else -1
