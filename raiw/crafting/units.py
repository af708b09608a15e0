"""Units of a chain of layers: what one layer makes and the next reads, with the edges of both."""

from collections.abc import Sequence

import numpy as np

from raiw.crafting.degrees import even
from raiw.graphs import Degrees, Graph
from raiw.specs.chains import inputs_by_unit
from raiw.specs.planned import PlannedLayer


def unit_degrees(chain: Sequence[PlannedLayer], graphs: Sequence[Graph]) -> list[Degrees]:
    """Return ``(2, units)`` for each layer of units, from the network's inputs to its outputs.

    The first row has the degrees in the layer before, the second those in the layer behind.
    """
    behind = [
        graph.in_degrees().reshape(-1, inputs).sum(axis=1)
        for inputs, graph in zip(inputs_by_unit(chain), graphs, strict=True)
    ]
    before = [graph.out_degrees() for graph in graphs]
    ends = np.zeros_like(behind[0]), np.zeros_like(before[-1])
    rows = zip([ends[0], *before], [*behind, ends[1]], strict=True)
    return [np.stack(sides) for sides in rows]


def unit_fault(chain: Sequence[PlannedLayer], graphs: Sequence[Graph]) -> str | None:
    """Return where units break the contract of :mod:`raiw.crafting.algorithms.network`, or None."""
    names = [f"the inputs of layer {chain[0].name!r}"]
    names += [f"the outputs of layer {planned.name!r}" for planned in chain]
    for name, sides in zip(names, unit_degrees(chain, graphs), strict=True):
        degrees = sides.sum(axis=0)
        if not even(degrees):
            return (
                f"{name} have {degrees.min()} to {degrees.max()} edges on both sides together, "
                f"their mean is {degrees.mean():.6g}"
            )
        for side, what in zip(sides, ("input", "output"), strict=True):
            if side.sum() >= len(side) and not side.all():
                return f"{np.count_nonzero(side == 0)} of {name} have no {what} edge"
    return None
