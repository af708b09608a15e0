"""A layer of a plan: its exact number of edges and degrees."""

import math
from dataclasses import dataclass
from typing import Any

from raiw.algorithms import ALGORITHMS, Contract
from raiw.specs.blocks import EdgeBlock
from raiw.specs.contracts import degree_range, even_sides
from raiw.specs.layers import Conv, Linear


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer with its edge count decided."""

    layer: Linear | Conv
    edges: int
    pointer: str
    """Where in the document the target stands."""
    group_outputs: int = 1
    """Consecutive outputs that share one set of inputs: one output vertex of what is crafted."""
    group_inputs: int = 1
    """Consecutive inputs that the same outputs read: one input vertex of it."""
    algorithm: str = "raiw"
    """The algorithm that will build it."""
    m: int = 4
    """The M of the N:M algorithms."""
    position: int = 0
    """Place of the layer in the spec."""

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.layer.name

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(out, in/groups)`` of the mask."""
        return self.layer.graph_shape

    @property
    def groups(self) -> int:
        """Groups of the layer."""
        return self.layer.groups

    @property
    def cells(self) -> int:
        """Edges of the dense layer."""
        return math.prod(self.shape)

    @property
    def contract(self) -> Contract:
        """What the algorithm promises of every graph."""
        return ALGORITHMS[self.algorithm].contract

    @property
    def graphs(self) -> int:
        """Graphs that are crafted: one for each group, or one for all of them."""
        return self.layer.groups if ALGORITHMS[self.algorithm].by_group else 1

    @property
    def group_shape(self) -> tuple[int, int]:
        """Shape ``(out/graphs/group_outputs, in/groups/group_inputs)`` of each crafted graph."""
        out, n_in = self.shape
        return out // self.graphs // self.group_outputs, n_in // self.group_inputs

    @property
    def block(self) -> EdgeBlock:
        """The edges that one edge of a crafted graph stands for."""
        return EdgeBlock(self.group_outputs, self.group_inputs)

    @property
    def group_edges(self) -> tuple[int, ...]:
        """Edges of each graph: equal, the first ones one more where they do not divide."""
        share, rest = divmod(self.edges // self.block.edges, self.graphs)
        return (share + 1,) * rest + (share,) * (self.graphs - rest)

    @property
    def group_edges_range(self) -> tuple[int, int]:
        """Fewest and most edges of a graph; costs nothing, however many groups there are."""
        share, rest = divmod(self.edges // self.block.edges, self.graphs)
        return share, share + (rest > 0)

    @property
    def dense(self) -> bool:
        """Whether every edge is kept."""
        return self.edges == self.cells

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return self.edges / self.cells

    @property
    def weights(self) -> int:
        """Weights kept."""
        return self.edges * self.layer.taps

    @property
    def dense_weights(self) -> int:
        """Weights of the dense layer."""
        return self.cells * self.layer.taps

    @property
    def flops(self) -> int | None:
        """Operations for one input, two a weight and position; None where these are unknown."""
        positions = self.layer.positions
        return None if positions is None else 2 * self.weights * positions

    def degree_range(self, side: str) -> tuple[int, int]:
        """Return the smallest and largest degree the contract allows on side ``in`` or ``out``."""
        vertices, others = self._vertices(side)
        even = side in even_sides(self.contract, self.group_shape)
        fewest, most = (
            degree_range(edges, vertices, others, even=even) for edges in self.group_edges_range
        )
        others_together = self.group_outputs if side == "in" else self.group_inputs
        return others_together * fewest[0], others_together * most[1]

    def _vertices(self, side: str) -> tuple[int, int]:
        """Return the vertices of a side of each graph, and the most that one may be joined to."""
        rows, n_in = self.group_shape
        unions = self.layer.groups // self.graphs
        return (rows, n_in) if side == "out" else (n_in * unions, rows // unions)

    @property
    def unreached_outputs(self) -> int:
        """Outputs that get no edge: so many at least, exactly so many where they share evenly."""
        return self._unreached("out") * self.group_outputs

    @property
    def unreached_inputs(self) -> int:
        """Inputs that get no edge: so many at least, exactly so many where they share evenly."""
        return self._unreached("in") * self.group_inputs

    def _unreached(self, side: str) -> int:
        vertices, _ = self._vertices(side)
        share, rest = divmod(self.edges // self.block.edges, self.graphs)
        return self.graphs * max(0, vertices - share) - rest * (share < vertices)

    def to_json(self) -> dict[str, Any]:
        """Return the plan of the layer as JSON-serialisable values."""
        return {
            "name": self.name,
            "kind": self.layer.kind,
            "shape": list(self.shape),
            "groups": self.layer.groups,
            "group_outputs": self.group_outputs,
            "group_inputs": self.group_inputs,
            "edges": self.edges,
            "density": self.density,
            "dense": self.dense,
            "in_degree": list(self.degree_range("in")),
            "out_degree": list(self.degree_range("out")),
            "weights": self.weights,
            "dense_weights": self.dense_weights,
            "flops": self.flops,
        }
