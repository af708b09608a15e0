"""The facts of a layer: what integer arithmetic says about its mask.

They are the same bytes on every machine and are kept in the mask file. A grouped layer is one graph
for each group, side by side: vertices, edges and components are counted over all groups.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raiw import kernels
from raiw.graphs import Degrees, Graph
from raiw.statistics.connectivity import components
from raiw.statistics.entropy import quadratic_entropy, regularity


@dataclass(frozen=True, slots=True)
class DegreeRange:
    """Smallest, mean and largest degree of one side."""

    min: int
    mean: float
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """Edges, degrees and components of a layer."""

    shape: tuple[int, int]
    """``(out, in/groups)``."""
    groups: int
    edges: int
    in_degree: DegreeRange
    out_degree: DegreeRange
    regularity: float
    """-std of the degrees of all vertices (Eq. 3)."""
    quadratic_entropy: float
    """1 - 1/2m - Σd²/4m² (Eq. 6)."""
    components: int
    """Connected components; each unreached vertex is one of its own."""
    unreached_inputs: int
    unreached_outputs: int

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return self.edges / (self.shape[0] * self.shape[1])

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-serialisable values, the density with them."""
        return asdict(self) | {"shape": list(self.shape), "density": self.density}


def describe(graph: Graph, groups: int = 1) -> LayerFacts:
    """Return the facts of a layer, at the cost of a few reads of its packed rows.

    Parameters
    ----------
    graph
        The layer's mask, ``(out, in/groups)``; group g owns the rows from ``g·out/groups``.
    groups
        Number of groups; divides ``out``.

    Raises
    ------
    InvalidInput
        The groups do not divide the outputs.
    """
    parts = list(graph.split(groups))
    by_output = np.empty((groups, graph.shape[0] // groups), np.int64)
    by_input = np.empty((groups, graph.shape[1]), np.int64)
    for part, outs, ins in zip(parts, by_output, by_input, strict=True):
        kernels.count_degrees(part.bits, graph.shape[1], outs, ins)
    out_degrees, in_degrees = by_output.reshape(-1), by_input.reshape(-1)
    return LayerFacts(
        shape=graph.shape,
        groups=groups,
        edges=int(out_degrees.sum()),
        in_degree=_degree_range(in_degrees),
        out_degree=_degree_range(out_degrees),
        regularity=regularity(out_degrees, in_degrees),
        quadratic_entropy=quadratic_entropy(out_degrees, in_degrees),
        components=sum(components(part) for part in parts),
        unreached_inputs=len(in_degrees) - int(np.count_nonzero(in_degrees)),
        unreached_outputs=len(out_degrees) - int(np.count_nonzero(out_degrees)),
    )


def _degree_range(degrees: Degrees) -> DegreeRange:
    return DegreeRange(
        min=int(degrees.min()), mean=int(degrees.sum()) / len(degrees), max=int(degrees.max())
    )
