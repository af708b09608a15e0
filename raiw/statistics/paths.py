"""Paths from the inputs of one layer to the outputs of a later one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raiw.errors import InvalidInput
from raiw.graphs import Floats, Graph


class PathCounts(NamedTuple):
    """Number of paths between a first input and a last output, over all such pairs."""

    min: float
    """0 if some output cannot see some input."""
    median: float


def count_paths(layers: Sequence[tuple[Graph, int]]) -> PathCounts:
    """Count the paths through consecutive layers, given as ``(graph, groups)`` from first to last.

    With ``B_i`` the 0/1 matrices, the counts are the entries of ``B_k … B_1``, the number of ways
    a signal can go from an input to an output; a dense chain has the product of its hidden
    widths. Counts are exact below 2⁵³, and 0 always is. Costs the products of the dense
    matrices, 8 bytes a cell.

    Raises
    ------
    InvalidInput
        A layer does not have as many inputs as the one before has outputs.

    Examples
    --------
    >>> dense = Graph.from_bool(np.ones((4, 4), bool))
    >>> count_paths([(dense, 1), (dense, 1)])
    PathCounts(min=4.0, median=4.0)
    """
    counts = np.eye(layers[0][0].shape[1] * layers[0][1])
    for graph, groups in layers:
        if groups * graph.shape[1] != len(counts):
            raise InvalidInput(
                f"a layer of {groups * graph.shape[1]} inputs cannot follow {len(counts)} outputs; "
                f"count paths through layers that feed each other"
            )
        counts = _extend(graph, groups, counts)
    return PathCounts(float(counts.min()), float(np.median(counts)))


def _extend(graph: Graph, groups: int, counts: Floats) -> Floats:
    """Return the counts of paths through one more layer."""
    inputs = np.split(counts, groups)
    parts = graph.split(groups)
    return np.concatenate(
        [part.to_bool().astype(np.float64) @ own for part, own in zip(parts, inputs, strict=True)]
    )
