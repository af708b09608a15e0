"""The statistics of a layer: its facts, and what follows from the spectrum of its Laplacian.

The Laplacian of a grouped layer is block-diagonal, one block for each group.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from raiw.graphs import Graph
from raiw.statistics.entropy import dense_entropy, von_neumann_entropy, x_log_x
from raiw.statistics.facts import LayerFacts, describe
from raiw.statistics.spectrum import eigenproblem_order, laplacian_spectrum

EntropyMethod = Literal["exact", "closed form", "estimate"]

EXACT_ORDER = 4096


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
    algebraic_connectivity: float | None
    """λ₂ of the Laplacian, the smallest over the groups; 0 if a group is disconnected, None if the
    solver could not tell it from 0."""
    spectral_gap: float | None
    """1 - σ₂ of the degree-normalised edges, likewise."""

    @property
    def entropy_gap(self) -> float:
        """Entropy below that of the dense layer."""
        return self.dense_entropy - self.entropy

    def to_json(self) -> dict[str, Any]:
        """Return all statistics as JSON-serialisable values."""
        return LayerFacts.to_json(self) | {"entropy_gap": self.entropy_gap}


class _Trace(NamedTuple):
    """tr(L ln L) of one group."""

    value: float
    method: EntropyMethod
    error: float
    algebraic_connectivity: float | None


def measure(
    graph: Graph, groups: int = 1, *, exact_order: int = EXACT_ORDER, seed: int = 0
) -> LayerStatistics:
    """Return the facts and the spectral statistics of a layer.

    Parameters
    ----------
    graph
        The layer's mask, ``(out, in/groups)``; group g owns the rows from ``g·out/groups``.
    groups
        Number of groups; divides ``out``.
    exact_order
        Order of the largest matrix that is decomposed for an exact entropy: seconds at the
        default. Above it the entropy is estimated, in time proportional to the edges.
    seed
        Seed of an estimate.

    Raises
    ------
    InvalidInput
        The groups do not divide the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> statistics = measure(Graph.from_bool(np.ones((10, 10), bool)))
    >>> round(statistics.entropy, 6), statistics.entropy_method, statistics.components
    (2.926418, 'closed form', 1)
    """
    from raiw.statistics.expansion import spectral_gap  # loads scipy, which `describe` does not

    facts = describe(graph, groups)
    parts = list(graph.split(groups))
    traces = [_trace(part, exact_order, seed + index) for index, part in enumerate(parts)]
    methods = {trace.method for trace in traces}
    error = math.hypot(*(trace.error for trace in traces)) / max(2 * facts.edges, 1)
    connected = facts.components == groups
    return LayerStatistics(
        **{field.name: getattr(facts, field.name) for field in fields(facts)},
        entropy=von_neumann_entropy(math.fsum(trace.value for trace in traces), facts.edges),
        entropy_method=next(m for m in ("estimate", "exact", "closed form") if m in methods),
        entropy_error=error if "estimate" in methods else None,
        dense_entropy=dense_entropy(graph.shape, groups),
        algebraic_connectivity=_least(t.algebraic_connectivity for t in traces)
        if connected
        else 0.0,
        spectral_gap=_least(map(spectral_gap, parts)) if connected else 0.0,
    )


def _trace(graph: Graph, exact_order: int, seed: int) -> _Trace:
    order = eigenproblem_order(graph.out_degrees(), graph.in_degrees())
    if order <= exact_order:
        spectrum = laplacian_spectrum(graph)
        method: EntropyMethod = "exact" if order else "closed form"
        return _Trace(float(x_log_x(spectrum).sum()), method, 0.0, float(spectrum[1]))

    from raiw.statistics.expansion import algebraic_connectivity
    from raiw.statistics.lanczos import trace_x_log_x

    value, error = trace_x_log_x(graph, seed)
    return _Trace(value, "estimate", error, algebraic_connectivity(graph))


def _least(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
