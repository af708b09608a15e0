"""A layer's groups: the scores of the graph crafted for each, and each graph of a crafted layer."""

from collections.abc import Iterator, Sequence

import numpy as np

from raiw.errors import InvalidImportance
from raiw.graphs import Bits, Bools, Floats, Graph
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
    parts = [own[output::outputs] for output in range(outputs)]
    total, forbidden = _added(parts)
    if inputs > 1:
        total, others = _added([total[:, each::inputs] for each in range(inputs)])
        forbidden = forbidden.reshape(len(forbidden), -1, inputs).any(axis=2) | others
    total[forbidden] = -np.inf
    if not (np.isfinite(total) | forbidden).all():
        raise InvalidImportance(
            f"layer {planned.name!r}: the scores of {planned.block} sum to infinity: scale them "
            f"down",
            layer=planned.name,
        )
    return total


def _added(parts: Sequence[Scores]) -> tuple[Floats, Bools]:
    """Return the sum of arrays, and where a part forbids it."""
    total = np.zeros(parts[0].shape)
    forbidden = np.zeros(total.shape, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in parts:
            total += part
            forbidden |= np.isneginf(part)
    return total, forbidden


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
