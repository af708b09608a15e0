"""Dead units: vertices that a layer's graph leaves without an edge.

An output without an input edge is constant, whatever the layer reads; what an input without an
output edge carries is lost.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from raiw.errors import DeadUnitsFound
from raiw.names import listed


class UnreachedCounts(Protocol):
    """What is planned or known of a layer's vertices."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(out, in/groups)``."""

    @property
    def groups(self) -> int:
        """Groups, whose inputs are counted one after the other."""

    @property
    def unreached_outputs(self) -> int:
        """Outputs without an edge."""

    @property
    def unreached_inputs(self) -> int:
        """Inputs without an edge."""


class DeadUnits(BaseModel):
    """The dead units of one layer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    layer: str
    outputs: int
    """Outputs without an input edge, of ``all_outputs``."""
    all_outputs: int
    inputs: int
    """Inputs without an output edge, of ``all_inputs``; 0 for the first layer, which may leave
    inputs of the network unread."""
    all_inputs: int

    def __str__(self) -> str:
        faults = []
        if self.outputs:
            faults.append(f"{self.outputs} of {self.all_outputs} outputs without an input edge")
        if self.inputs:
            faults.append(f"{self.inputs} of {self.all_inputs} inputs without an output edge")
        return f"{self.layer} ({', '.join(faults)})"


def dead_units(layers: Iterable[tuple[str, UnreachedCounts]]) -> list[DeadUnits]:
    """Return the layers of a network, given by name and in order, that have dead units."""
    found = []
    for place, (name, layer) in enumerate(layers):
        inputs = layer.unreached_inputs if place else 0
        if layer.unreached_outputs or inputs:
            out, n_in = layer.shape
            found.append(
                DeadUnits(
                    layer=name,
                    outputs=layer.unreached_outputs,
                    all_outputs=out,
                    inputs=inputs,
                    all_inputs=n_in * layer.groups,
                )
            )
    return found


class _Recorded(BaseModel):
    """Of a layer's facts in a mask file what dead units are told from."""

    shape: tuple[int, int]
    groups: int
    unreached_outputs: int
    unreached_inputs: int


def recorded_dead_units(records: Iterable[Mapping[str, Any]]) -> list[DeadUnits]:
    """Return the same from the ``layers`` of a mask file's metadata."""
    return dead_units(
        (record["name"], _Recorded.model_validate(record["facts"])) for record in records
    )


def told(dead: list[DeadUnits]) -> str:
    """Return a line that names layers with dead units, and what brings them to life."""
    layers = "layer has" if len(dead) == 1 else "layers have"
    return (
        f"{len(dead)} {layers} dead units: {listed([str(units) for units in dead])}; raise their "
        f"targets, set craft.min_fan_in, or keep them dense by craft.keep_first, craft.keep_last "
        f"or a rule"
    )


def refuse_dead(dead: list[DeadUnits]) -> None:
    """Make sure that there are none.

    Raises
    ------
    DeadUnitsFound
        There are some; ``details["dead_units"]`` has them all.
    """
    if dead:
        raise DeadUnitsFound(told(dead), dead_units=[units.model_dump() for units in dead])
