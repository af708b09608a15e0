"""Algorithm ``network``: one graph over all layers, the most important edges of the network first.

Each layer reads what the one before it makes, so a *unit* between them has edges on both sides.
Every layer keeps its planned number of edges, and every unit the floor or the ceiling of the mean
of its layer, edges on both sides counted together: a unit may read more and be read less. Edges
are visited by score, highest first in the whole network, with ties in the random order of
:func:`raiw.crafting.randomness.edge_keys`; one is taken while its layer lacks edges and both of its
units may take one, as in :mod:`raiw.crafting.algorithms.raiw`. Augmenting paths place the rest.

*Such a graph always exists.* Edges join an even layer of units to an odd one, so degrees are a flow
from the even layers to the odd ones. Every edge taken to the share of its layer's edges that is
planned gives each unit its mean. Where such a flow is, a flow of whole edges is too. It fills the
layers of units, and with them, from the first to the last, the layers of edges.

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
from raiw.crafting.degrees import may_take, share
from raiw.crafting.randomness import Stream, edge_keys
from raiw.errors import Infeasible
from raiw.graphs import Bools, Degrees, Graph
from raiw.kernels.cells import Scores
from raiw.specs.chains import inputs_by_unit
from raiw.specs.plan import PlannedLayer

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

    Units are numbered from the first layer's inputs on. Layers that keep every edge give all units
    of a layer as many, so they are not counted.
    """

    def __init__(
        self, chain: Sequence[PlannedLayer], scores: Sequence[Scores | None], seed: int
    ) -> None:
        self._shapes = [planned.shape for planned in chain]
        self._starts = [0, *accumulate(planned.cells for planned in chain)]
        self._inputs = inputs_by_unit(chain)
        widths = [chain[0].shape[1], *(planned.shape[0] for planned in chain)]
        self._first = [0, *accumulate(widths)]
        self._edges = [0 if planned.dense else planned.edges for planned in chain]
        sums = [before + behind for before, behind in pairwise([0, *self._edges, 0])]
        self._shares = [share(total, width) for total, width in zip(sums, widths, strict=True)]
        self._layer = np.repeat(np.arange(len(widths)), widths)
        self._floor = np.array([one.floor for one in self._shares])[self._layer]
        self._degrees: Degrees = np.zeros(len(self._layer), np.int64)
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
        left, tokens = list(self._edges), [one.spare for one in self._shares]
        degrees, floor, layer = (
            values.tolist() for values in (self._degrees, self._floor, self._layer)
        )
        for start in range(0, len(order), _CHUNK):
            self._degrees[:] = degrees
            edges = order[start : start + _CHUNK]
            ends = self._ends(edges)
            some = np.flatnonzero(self._may_take()[ends].all(axis=0))
            chosen = (values[some].tolist() for values in (edges, *ends))
            for edge, u, v in zip(*chosen, strict=True):
                owner = layer[u]
                if left[owner] and all(
                    degrees[unit] < floor[unit] or (degrees[unit] == floor[unit] and tokens[at])
                    for unit, at in ((u, owner), (v, owner + 1))
                ):
                    self.kept[edge] = True
                    left[owner] -= 1
                    for unit, at in ((u, owner), (v, owner + 1)):
                        tokens[at] -= degrees[unit] == floor[unit]
                        degrees[unit] += 1
        self._degrees[:] = degrees

    def complete(self) -> None:
        """Place the edges that are missing, each along a shortest augmenting path.

        Nodes are the units, and for each layer of units its tokens. A unit of an even layer on the
        path takes an edge, one of an odd layer gives one up to it; see
        :mod:`raiw.crafting.completion`.

        Raises
        ------
        Infeasible
            No path is left, so no graph keeps the contract.
        """
        missing = sum(self._edges) - int(self._degrees.sum()) // 2
        even = self._layer % 2 == 0
        while missing:
            eligible = self._may_take()
            starts, ends = (np.flatnonzero(eligible & side) for side in (even, ~even))
            path = shortest_path(starts, ends, self._neighbours())
            if not path:
                raise Infeasible(
                    f"{missing} edges of the network cannot be placed: every graph with its "
                    f"degrees needs an edge scored -inf; score fewer edges -inf or lower the "
                    f"target",
                    missing=missing,
                )
            for here, there in pairwise(path):
                if max(here, there) < len(self._layer):
                    self._flip(here, there)
            missing -= 1

    def _ends(self, edges: EdgeNumbers) -> npt.NDArray[np.int64]:
        """Return the units before and behind some edges, ``(2, edges)``."""
        own = np.searchsorted(self._starts, edges, side="right") - 1
        columns = np.array([shape[1] for shape in self._shapes])[own]
        outs, ins = np.divmod(edges - np.array(self._starts)[own], columns)
        first = np.array(self._first)
        return np.stack([first[own] + ins // np.array(self._inputs)[own], first[own + 1] + outs])

    def _may_take(self) -> Bools:
        """Tell which units may take one more edge."""
        return np.concatenate(
            [
                may_take(self._degrees[start:end], own)
                for (start, end), own in zip(pairwise(self._first), self._shares, strict=True)
            ]
        )

    def _neighbours(self) -> Callable[[int], Any]:
        """Return what tells the nodes that an augmenting path may go to from a node."""
        open_ = self._scores > -np.inf
        kept, free = self.by_layer(self.kept & open_), self.by_layer(~self.kept & open_)
        units = len(self._layer)

        def neighbours(node: int) -> Any:
            if node >= units:
                return self._holders(node - units)
            at = int(self._layer[node])
            above = self._degrees[node] - self._floor[node]
            passes = above > 0 if at % 2 == 0 else above == 0
            joined = self._joined(free if at % 2 == 0 else kept, node, at)
            return np.append(joined, units + at) if passes else joined

        return neighbours

    def _holders(self, at: int) -> Any:
        """Return the units that a token of a layer of units may go to, or be had from."""
        start, end = self._first[at : at + 2]
        above = self._degrees[start:end] > self._shares[at].floor
        return start + np.flatnonzero(above == (at % 2 == 1))

    def _joined(self, edges: list[Bools], unit: int, at: int) -> Any:
        """Return the units that some of the edges join to one, layer before layer."""
        own, found = unit - self._first[at], []
        if at > 0:
            row = edges[at - 1][own].reshape(-1, self._inputs[at - 1])
            found.append(self._first[at - 1] + np.flatnonzero(row.any(axis=1)))
        if at < len(edges):
            column = edges[at][:, self._columns(at, own)]
            found.append(self._first[at + 1] + np.flatnonzero(column.any(axis=1)))
        return np.concatenate(found)

    def _columns(self, at: int, own: int) -> slice:
        return slice(own * self._inputs[at], (own + 1) * self._inputs[at])

    def _flip(self, here: int, there: int) -> None:
        """Take the best free edge between two units, or give up the worst one that is kept.

        Of equal ones it is the first.
        """
        before, behind = sorted((here, there))
        at = int(self._layer[before])
        columns = self._columns(at, before - self._first[at])
        width = self._shapes[at][1]
        start = self._starts[at] + (behind - self._first[at + 1]) * width
        edges = np.arange(start + columns.start, start + columns.stop)
        takes = self._layer[here] % 2 == 0
        edges = edges[self.kept[edges] != takes]
        best = np.argmax(self._scores[edges] * (1 if takes else -1))
        self.kept[edges[best]] = takes
        self._degrees[[here, there]] += 1 if takes else -1
