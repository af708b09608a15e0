"""Units of a chain of layers: what one layer makes and the next reads, with the edges of both."""

from collections.abc import Sequence

import numpy as np

from raiw.crafting.degrees import even
from raiw.graphs import Degrees, Graph
from raiw.specs.chains import inputs_by_unit
from raiw.specs.plan import PlannedLayer


def unit_degrees(chain: Sequence[PlannedLayer], graphs: Sequence[Graph]) -> list[Degrees]:
    """Return the degrees of all units, from the network's inputs to its outputs.

    A unit's degree counts the edges that end in it and those that begin there.
    """
    counts = inputs_by_unit(chain)
    degrees = [np.zeros(planned.shape[1], np.int64) for planned in chain[:1]]
    for inputs, graph in zip(counts, graphs, strict=True):
        degrees[-1] = degrees[-1] + graph.in_degrees().reshape(-1, inputs).sum(axis=1)
        degrees.append(graph.out_degrees())
    return degrees


def uneven_units(chain: Sequence[PlannedLayer], graphs: Sequence[Graph]) -> str | None:
    """Return where the units of a layer have uneven degrees, or None."""
    names = [f"the inputs of layer {chain[0].name!r}"]
    names += [f"the outputs of layer {planned.name!r}" for planned in chain]
    for name, degrees in zip(names, unit_degrees(chain, graphs), strict=True):
        if not even(degrees):
            return (
                f"{name} have {degrees.min()} to {degrees.max()} edges on both sides together, "
                f"their mean is {degrees.mean():.6g}"
            )
    return None
