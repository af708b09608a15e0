"""Chains: layers of which each reads what the one before makes, so that they share units.

The units between two layers are the outputs of the first. The second reads each of them once, or,
behind a flattened image, as several consecutive inputs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from raiw.errors import InvalidSpec, TooLarge

if TYPE_CHECKING:
    from raiw.specs.planned import PlannedLayer

MAX_CELLS = 1 << 22
"""Most possible edges of a chain that is crafted as one graph."""


def inputs_by_unit(chain: "Sequence[PlannedLayer]") -> tuple[int, ...]:
    """Return for each layer how many of its inputs are one unit; 1 for the first.

    Raises
    ------
    InvalidSpec
        The layers are no chain, are grouped, or keep edges in blocks.
    TooLarge
        They have more possible edges than are crafted as one graph.
    """
    for place, planned in enumerate(chain):
        if planned.groups > 1 or planned.block.edges > 1:
            raise _refused(
                place, f"layer {planned.name!r} has groups, of channels, outputs or inputs"
            )
    counts = [1]
    for place, (before, planned) in enumerate(pairwise(chain), 1):
        units, inputs = before.shape[0], planned.shape[1]
        if inputs % units:
            raise _refused(
                place,
                f"layer {planned.name!r} has {inputs} inputs, and {before.name!r} before it "
                f"{units} outputs",
            )
        counts.append(inputs // units)
    cells = sum(planned.cells for planned in chain)
    if cells > MAX_CELLS:
        raise TooLarge(
            f"the layers have {cells} possible edges, one graph over a network may have "
            f"{MAX_CELLS}: use algorithm 'raiw', which crafts a graph for each layer",
            pointer="/craft/algorithm",
            limit=MAX_CELLS,
        )
    return tuple(counts)


def _refused(place: int, why: str) -> InvalidSpec:
    return InvalidSpec(
        f"{why}: one graph over a network needs layers that read each other in the spec's order; "
        f"use algorithm 'raiw', which crafts a graph for each layer",
        pointer=f"/layers/{place}",
    )
