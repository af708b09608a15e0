"""What two sets of masks share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raiw.masks.mask import Mask


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """Edges of one layer that both masks keep, or only one."""

    name: str
    shared: int
    only_a: int
    only_b: int

    @property
    def jaccard(self) -> float:
        """Shared edges over edges of either; 1 for two empty masks."""
        either = self.shared + self.only_a + self.only_b
        return self.shared / either if either else 1.0


@dataclass(frozen=True, slots=True)
class Difference:
    """How two networks' masks differ."""

    layers: tuple[LayerDifference, ...]
    """Layers that both have in one shape, in the first set's order."""
    only_a: tuple[str, ...]
    """Layers the second set lacks."""
    only_b: tuple[str, ...]
    """Layers the first set lacks."""
    reshaped: tuple[tuple[str, tuple[int, int], tuple[int, int]], ...]
    """Layers of different shapes: name, first and second shape."""

    @property
    def same(self) -> bool:
        """Whether both sets have the same layers with the same edges."""
        apart = self.only_a or self.only_b or self.reshaped
        return not apart and not any(layer.only_a or layer.only_b for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON-serialisable values."""
        layers = [asdict(layer) | {"jaccard": layer.jaccard} for layer in self.layers]
        return asdict(self) | {"same": self.same, "layers": layers}


def compare(a: Mapping[str, Mask], b: Mapping[str, Mask]) -> Difference:
    """Compare two sets of masks by layer name, at the cost of one read of their packed rows."""
    common = [name for name in a if name in b]
    return Difference(
        layers=tuple(
            _compare_layer(a[name], b[name]) for name in common if a[name].shape == b[name].shape
        ),
        only_a=tuple(name for name in a if name not in b),
        only_b=tuple(name for name in b if name not in a),
        reshaped=tuple(
            (name, a[name].shape, b[name].shape)
            for name in common
            if a[name].shape != b[name].shape
        ),
    )


def _compare_layer(a: Mask, b: Mask) -> LayerDifference:
    shared = int(np.bitwise_count(a.packed & b.packed).sum(dtype=np.int64))
    return LayerDifference(a.name, shared, a.graph.edges - shared, b.graph.edges - shared)
