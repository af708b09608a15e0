"""The statistics of one layer: the facts of its mask, and what its spectrum says.

A grouped layer is one graph for each group, side by side: vertices, edges and components are
counted over all groups, and its Laplacian is block-diagonal.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from raiw.errors import InvalidInput
from raiw.graphs import Degrees, Graph
from raiw.statistics.connectivity import components
from raiw.statistics.entropy import (
    dense_entropy,
    quadratic_entropy,
    regularity,
    von_neumann_entropy,
)
from raiw.statistics.expansion import spectral_gap
from raiw.statistics.spectrum import eigenproblem_order, laplacian_spectrum

EntropyMethod = Literal["exact", "closed form", "estimate"]


@dataclass(frozen=True, slots=True)
class DegreeRange:
    """Smallest, mean and largest degree of one side."""

    min: int
    mean: float
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """What integer arithmetic says of a layer: the same bytes on every machine."""

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
    """Connected components, each unreached vertex one by itself."""
    unreached_inputs: int
    unreached_outputs: int

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return self.edges / (self.shape[0] * self.shape[1])

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-serialisable values, the density with them."""
        return asdict(self) | {"shape": list(self.shape), "density": self.density}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStatistics(LayerFacts):
    """The facts of a layer and its spectral statistics, entropies in nats."""

    entropy: float
    """Von Neumann entropy S (Eq. 1-2)."""
    entropy_method: EntropyMethod
    entropy_error: float | None
    """Standard error of an estimate, else None."""
    dense_entropy: float
    """S of the dense layer of this shape."""
    algebraic_connectivity: float
    """λ₂ of the Laplacian, the smallest over the groups; 0 if one of them is disconnected."""
    spectral_gap: float
    """1 - σ₂ of the degree-normalised edges, likewise."""

    @property
    def entropy_gap(self) -> float:
        """Entropy missing to the dense layer."""
        return self.dense_entropy - self.entropy

    def to_json(self) -> dict[str, Any]:
        """Return all statistics as JSON-serialisable values."""
        return LayerFacts.to_json(self) | {"entropy_gap": self.entropy_gap}


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
    parts = list(_split(graph, groups))
    out_degrees = graph.out_degrees()
    in_degrees = np.concatenate([part.in_degrees() for part in parts])
    return LayerFacts(
        shape=graph.shape,
        groups=groups,
        edges=int(out_degrees.sum()),
        in_degree=_degree_range(in_degrees),
        out_degree=_degree_range(out_degrees),
        regularity=regularity(out_degrees, in_degrees),
        quadratic_entropy=quadratic_entropy(out_degrees, in_degrees),
        components=sum(components(part) for part in parts),
        unreached_inputs=int((in_degrees == 0).sum()),
        unreached_outputs=int((out_degrees == 0).sum()),
    )


def measure(graph: Graph, groups: int = 1) -> LayerStatistics:
    """Return the facts and the spectral statistics of a layer.

    Parameters and errors are those of :func:`describe`.

    >>> statistics = measure(Graph.from_bool(np.ones((10, 10), bool)))
    >>> round(statistics.entropy, 6), statistics.entropy_method, statistics.components
    (2.926418, 'closed form', 1)
    """
    facts = describe(graph, groups)
    parts = list(_split(graph, groups))
    spectra = [laplacian_spectrum(part) for part in parts]
    connected = facts.components == groups
    closed = all(eigenproblem_order(part.out_degrees(), part.in_degrees()) == 0 for part in parts)
    return LayerStatistics(
        **{field.name: getattr(facts, field.name) for field in fields(facts)},
        entropy=von_neumann_entropy(np.concatenate(spectra)),
        entropy_method="closed form" if closed else "exact",
        entropy_error=None,
        dense_entropy=dense_entropy(graph.shape, groups),
        algebraic_connectivity=min(float(s[1]) for s in spectra) if connected else 0.0,
        spectral_gap=min(spectral_gap(part) for part in parts) if connected else 0.0,
    )


def _split(graph: Graph, groups: int) -> Iterator[Graph]:
    """Yield the graph of each group."""
    out, n_in = graph.shape
    if groups < 1 or out % groups:
        raise InvalidInput(
            f"{groups} groups do not divide {out} outputs; give the groups of the layer"
        )
    rows = out // groups
    for start in range(0, out, rows):
        yield Graph((rows, n_in), graph.bits[start : start + rows])


def _degree_range(degrees: Degrees) -> DegreeRange:
    return DegreeRange(
        min=int(degrees.min()), mean=int(degrees.sum()) / len(degrees), max=int(degrees.max())
    )
