"""One layer of a torch module: which weights are its own, and how they lie."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiw.layouts import by_edge
from raiw.readers.layers import LayerDocument

if TYPE_CHECKING:
    from numpy.typing import NDArray

Where = tuple[int | slice | list[int], ...]
"""An index into the axes of a parameter; empty for the whole of it."""


@dataclass(frozen=True, eq=False, slots=True)
class ModuleLayer:
    """One layer of a torch module: the weight that a mask can have, and how it lies."""

    document: LayerDocument
    """The layer as a spec has it, without positions."""
    module: Any
    """What holds the parameter: the layer's module, or what computes its weight."""
    attribute: str
    """Name of the parameter in the module."""
    inputs_first: bool = False
    """Whether the weight is ``(in, out/groups, *kernel)``, as that of a transposed convolution."""
    where: Where = ()
    """Which part of the parameter is the layer's weight."""
    whole: str = ""
    """Name of the layer that this is a part of; empty where it is none."""
    tied: tuple[str, ...] = ()
    """Names of the later layers that share this very weight."""
    embedding: str = ""
    """Name of the embedding that shares this very weight."""
    doubt: str = ""
    """Why zeros in the weight may not be zeros of what the layer computes."""
    positions: int = 0
    """Vectors the layer is applied to for one input; 0 where it is not, or nobody counted."""

    @property
    def name(self) -> str:
        """The module's path; the parameter's where the module holds several, or has no path.

        A part of a parameter is called like it, with a word of its own behind.
        """
        return str(self.document["name"])

    @property
    def kind(self) -> str:
        """The kind of a spec: ``linear``, ``conv2d``, ``conv_transpose1d``, …."""
        return str(self.document["kind"])

    @property
    def groups(self) -> int:
        """Number of separate graphs."""
        return int(self.document.get("groups", 1))

    @property
    def weight(self) -> Any:
        """The parameter; where the weight is computed, the one that a mask can have."""
        return getattr(self.module, self.attribute)

    def own(self, values: Any) -> Any:
        """Return the layer's part of an array or tensor of the parameter's shape."""
        return values[self.where] if self.where else values

    def edges(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """Return an array of the parameter's shape as ``(out, in/groups, taps)`` of the layer."""
        return by_edge(self.own(values), self.groups, inputs_first=self.inputs_first)

    def to_document(self) -> LayerDocument:
        """Return the layer as a spec has it, with its positions where they are known."""
        return self.document | ({"positions": self.positions} if self.positions else {})
