"""A layer's groups: the scores of the graph crafted for each, and each graph of a crafted layer."""

from collections.abc import Iterator

import numpy as np

from raiw.errors import InvalidImportance
from raiw.graphs import Bits, Bools, Graph
from raiw.kernels.cells import Scores
from raiw.specs.planned import PlannedLayer


def group_scores(planned: PlannedLayer, group: int, scores: Scores) -> Scores:
    """Return the scores of the graph crafted for one group, of shape ``planned.group_shape``.

    The scores of a block are added in float64, one after the other: over its outputs, then over its
    inputs, which fixes the rounding on every machine.

    Raises
    ------
    InvalidImportance
        A sum of finite scores is infinite.
    """
    outputs, inputs = planned.group_outputs, planned.group_inputs
    rows = planned.group_shape[0] * outputs
    own = scores[group * rows : (group + 1) * rows]
    if planned.block.edges == 1:
        return own
    total = np.zeros((rows // outputs, own.shape[1]))
    forbidden: Bools = np.zeros(total.shape, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for output in range(outputs):
            total += own[output::outputs]
            forbidden |= np.isneginf(own[output::outputs])
        if inputs > 1:
            parts = [total[:, each::inputs] for each in range(inputs)]
            total = parts[0].copy()
            for part in parts[1:]:
                total += part
            forbidden = np.asarray(forbidden.reshape(*total.shape, inputs).any(axis=2))
    total[forbidden] = -np.inf
    if not (np.isfinite(total) | forbidden).all():
        raise InvalidImportance(
            f"layer {planned.name!r}: the scores of a block of {planned.block} sum to "
            f"infinity: scale them down",
            layer=planned.name,
        )
    return total


def group_graphs(planned: PlannedLayer, graph: Graph) -> Iterator[Graph]:
    """Return the graph crafted for each group, of shape ``planned.group_shape``."""
    bits = np.ascontiguousarray(graph.bits[:: planned.group_outputs])
    by_output = Graph((len(bits), planned.shape[1]), bits)
    if planned.group_inputs > 1:
        by_output = Graph.from_bool(by_output.to_bool()[:, :: planned.group_inputs])
    return by_output.split(planned.graphs)


def in_blocks(planned: PlannedLayer, bits: Bits) -> Graph:
    """Return the graph of a layer whose blocks are the edges of what was crafted, stacked."""
    if planned.group_inputs > 1:
        small = Graph((len(bits), planned.group_shape[1]), bits).to_bool()
        bits = Graph.from_bool(np.repeat(small, planned.group_inputs, axis=1)).bits
    if planned.group_outputs > 1:
        bits = np.repeat(bits, planned.group_outputs, axis=0)
    return Graph(planned.shape, bits)
