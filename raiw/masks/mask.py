"""The mask of one layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from raiw.errors import MissingExtra
from raiw.graphs import Bits, Bools, Degrees, Graph
from raiw.layouts import by_weight
from raiw.specs.layers import Conv, Linear
from raiw.statistics import LayerFacts, LayerStatistics, measure

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False, kw_only=True)
class Mask:
    """Which edges of a layer are kept.

    >>> import raiw
    >>> mask = raiw.craft("raiw/vgg16-d16")["conv9"]
    >>> mask.shape, mask.edges, mask.numpy().sum(axis=0).tolist() == [16] * 512
    ((512, 512), 8192, True)
    """

    layer: Linear | Conv
    graph: Graph
    """Shape ``(out, in/groups)``."""
    requested: int
    """Edges asked for; the mask has ``facts.edges``."""
    completed: int = 0
    """Edges that the greedy pass could not place and the completion did."""
    kept_score: float | None = None
    """Sum of the kept scores; None without scores."""
    upper_bound: float | None = None
    """The most that any graph under the layer's contract can keep; None if not certified."""
    tied: int = 0
    """Kept edges of one score, if most have it and others do too, so that a draw decided."""
    facts: LayerFacts
    """Exact statistics, as in the mask file."""

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.layer.name

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(out, in/groups)``."""
        return self.graph.shape

    @property
    def groups(self) -> int:
        """Number of groups; group g owns the rows from ``g·out/groups``."""
        return self.layer.groups

    @property
    def edges(self) -> int:
        """Number of kept edges."""
        return self.facts.edges

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return self.facts.density

    @property
    def gap(self) -> float | None:
        """The most by which the kept score can miss the best: ``(bound - kept)/|bound|``.

        None if the layer is not certified, or its bound is 0 and the kept score is not.
        """
        if self.upper_bound is None or self.kept_score is None:
            return None
        from raiw.crafting.bounds.certificate import (
            Certificate,  # it loads the kernels too, which few need here
        )

        return Certificate(self.kept_score, self.upper_bound).gap

    @property
    def weights(self) -> int:
        """Number of kept weights: edges times kernel taps."""
        return self.edges * self.layer.taps

    @property
    def dense_weights(self) -> int:
        """Number of weights of the dense layer."""
        return self.shape[0] * self.shape[1] * self.layer.taps

    @property
    def packed(self) -> Bits:
        """The ``(out, ceil(in/groups/8))`` bytes, rows packed little-endian."""
        return self.graph.bits

    def numpy(self) -> Bools:
        """Return the ``(out, in/groups)`` boolean array."""
        return self.graph.to_bool()

    def csr(self) -> "csr_array[np.bool_, tuple[int, int]]":
        """Return the ``(out, in/groups)`` boolean SciPy CSR array."""
        from scipy.sparse import csr_array  # a third of the time that importing raiw.masks takes

        indptr, indices = self.graph.adjacency()
        return csr_array((np.ones(len(indices), np.bool_), indices, indptr), shape=self.shape)

    def torch(self) -> "torch.Tensor":
        """Return the ``(out, in/groups)`` boolean torch tensor.

        Raises
        ------
        MissingExtra
            torch is not installed.
        """
        try:
            import torch
        except ImportError:
            raise MissingExtra(
                "Mask.torch() needs torch: pip install 'raiw[torch]', or use Mask.numpy()"
            ) from None
        return torch.from_numpy(self.numpy())

    def for_weight(self) -> Bools:
        """Return a boolean array that multiplies the layer's weight by broadcasting.

        The kernel axes have size 1; a transposed convolution's mask is ``(in, out/groups, 1, …)``
        like its weight.
        """
        kept = by_weight(self.numpy(), self.groups, inputs_first=self.layer.transposed)
        return kept.reshape(kept.shape + (1,) * (len(self.layer.weight_shape) - 2))

    def out_degrees(self) -> Degrees:
        """Return the ``(out,)`` degrees of the output vertices."""
        return self.graph.out_degrees()

    def in_degrees(self) -> Degrees:
        """Return the ``(in,)`` degrees of the input vertices, over all groups."""
        return np.concatenate([part.in_degrees() for part in self.group_graphs()])

    def group_graphs(self) -> Iterator[Graph]:
        """Return the bipartite graph of each group, ``(out/groups, in/groups)``."""
        return self.graph.split(self.groups)

    @cached_property
    def stats(self) -> LayerStatistics:
        """Facts, entropies and expansion; the spectrum is computed once, when first asked for."""
        return measure(self.graph, self.groups)

    def _repr_html_(self) -> str:
        from raiw.masks.html import mask_html

        return mask_html(self)

    def __repr__(self) -> str:
        return f"<Mask {self.name}: {self.shape[0]}×{self.shape[1]}, {self.edges} edges>"
