"""The job ``graph``."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raiw.errors import InvalidInput
from raiw.jobs.document import JobDocument
from raiw.jobs.fields import Seed
from raiw.specs.document import WHOLE
from raiw.specs.limits import AtMost

REVISION = 1
"""Raised when the same document gives another graph."""
MAX_CELLS = 1 << 22
"""Most pairs of a vertex of one side and one of the other."""

_Width = Annotated[int, Field(ge=1, le=1 << 16, strict=True), WHOLE]


class GraphJob(JobDocument):
    """Craft one graph over all layers of a network, as in Figure 2 of the paper.

    This is for comparison: the middle layers of deeper networks starve. Craft jobs build a graph
    for each layer, or with algorithm ``network`` one in which every layer has its planned edges.
    """

    kind: Literal["graph"] = "graph"
    widths: Annotated[tuple[_Width, ...], Field(min_length=2), AtMost(64)]
    """Vertices of each layer, from the inputs to the outputs."""
    edges: Annotated[int, Field(ge=0, le=MAX_CELLS, strict=True), WHOLE]
    """Edges of the whole network."""
    method: Literal["greedy", "greedy_min", "regular"] = "greedy"
    """Edge by edge that of largest or of smallest entropy, or among vertices of least degrees."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        cells = sum(self.widths[::2]) * sum(self.widths[1::2])
        if cells > MAX_CELLS:
            raise InvalidInput(
                f"widths {self.widths} make {cells} pairs of vertices, {MAX_CELLS} are allowed: "
                f"craft layer by layer",
                pointer="/widths",
            )
        pairs = zip(self.widths, self.widths[1:], strict=False)
        possible = sum(before * after for before, after in pairs)
        if self.edges > possible:
            raise InvalidInput(
                f"a network of {self.subject} vertices has {possible} edges in all, {self.edges} "
                f"were asked for",
                pointer="/edges",
            )
        return self

    @property
    def subject(self) -> str:
        """The widths."""
        return "-".join(map(str, self.widths))

    @property
    def algorithm(self) -> str:
        """How edges are chosen."""
        return self.method

    @property
    def total(self) -> int:
        """One step."""
        return 1

    @property
    def revisions(self) -> list[int]:
        """Of the graph."""
        return [REVISION]
