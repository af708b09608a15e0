"""A layer's groups: the scores of the graph crafted for each, and each graph of a crafted layer."""

from collections.abc import Iterator

import numpy as np

from raiw.errors import InvalidImportance
from raiw.graphs import Graph
from raiw.kernels.cells import Scores
from raiw.specs.plan import PlannedLayer


def group_scores(planned: PlannedLayer, group: int, scores: Scores) -> Scores:
    """Return the scores of the graph crafted for one group, of shape ``planned.group_shape``.

    Outputs that share their inputs are one vertex: their scores are added in float64, one after
    the other, which fixes the rounding on every machine.

    Raises
    ------
    InvalidImportance
        A sum of finite scores is infinite.
    """
    rows, n_in = planned.group_shape
    outputs = planned.group_outputs
    own = scores[group * rows * outputs : (group + 1) * rows * outputs]
    if outputs == 1:
        return own
    total = np.zeros((rows, n_in))
    forbidden = np.zeros(total.shape, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for output in range(outputs):
            total += own[output::outputs]
            forbidden |= np.isneginf(own[output::outputs])
    total[forbidden] = -np.inf
    if not (np.isfinite(total) | forbidden).all():
        raise InvalidImportance(
            f"layer {planned.name!r}: the scores of {outputs} outputs sum to infinity: scale them "
            f"down",
            layer=planned.name,
        )
    return total


def group_graphs(planned: PlannedLayer, graph: Graph) -> Iterator[Graph]:
    """Return the graph crafted for each group, of shape ``planned.group_shape``."""
    bits = np.ascontiguousarray(graph.bits[:: planned.group_outputs])
    return Graph((len(bits), planned.shape[1]), bits).split(planned.graphs)
