"""Blocks: edges between consecutive outputs and consecutive inputs, all kept or all pruned."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EdgeBlock:
    """So many outputs are one vertex of the graph that is crafted, and so many inputs another."""

    outputs: int = 1
    inputs: int = 1

    @property
    def edges(self) -> int:
        """Edges of the layer that one edge of the crafted graph stands for."""
        return self.outputs * self.inputs

    def __str__(self) -> str:
        return f"{self.outputs} × {self.inputs} (outputs × inputs)"
