"""A neural graph: one bipartite graph between input and output vertices, kept as packed bits.

Bit ``in & 7`` (little-endian) of byte ``in >> 3`` of row ``out`` tells whether the edge
``(out, in)`` is kept; bits past the last input are zero. An edge's flat index is
``out·n_in + in``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raiw.errors import InvalidInput

Bits = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int32]
Degrees = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK_CELLS = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """An immutable bipartite graph.

    Parameters
    ----------
    shape
        ``(out, in)``: number of output and input vertices.
    bits
        ``(out, ceil(in/8))`` bytes, rows packed little-endian, padding bits zero; contiguous by
        rows, read-only.
    """

    shape: tuple[int, int]
    bits: Bits

    def __post_init__(self) -> None:
        self.bits.setflags(write=False)

    @classmethod
    def from_bool(cls, kept: Bools) -> "Graph":
        """Pack an ``(out, in)`` boolean array.

        >>> Graph.from_bool(np.eye(3, dtype=bool)).edges
        3
        """
        out, n_in = kept.shape
        by_row = np.ascontiguousarray(kept)
        return cls((out, n_in), np.packbits(by_row, axis=1, bitorder="little"))

    def split(self, parts: int) -> Iterator["Graph"]:
        """Yield graphs of equally many consecutive outputs: those of a layer's groups.

        Raises
        ------
        InvalidInput
            They do not divide the outputs.
        """
        out, n_in = self.shape
        if parts < 1 or out % parts:
            raise InvalidInput(
                f"{parts} groups do not divide {out} outputs; give the groups of the layer"
            )
        rows = out // parts
        for start in range(0, out, rows):
            yield Graph((rows, n_in), self.bits[start : start + rows])

    def union(self, other: "Graph") -> "Graph":
        """Return the graph of the edges in either."""
        return Graph(self.shape, self.bits | other.bits)

    def among(self, larger: "Graph") -> Bools:
        """Tell for each edge of a larger graph, by flat index, whether this one has it."""
        blocks = zip(row_blocks(self), row_blocks(larger), strict=True)
        return np.concatenate([own[every] for own, every in blocks])

    def pick(self, kept: Bools) -> "Graph":
        """Return the graph of some of the edges, given by flat index; undoes :meth:`among`."""
        chosen = self.to_bool()
        chosen[chosen] = kept
        return Graph.from_bool(chosen)

    def to_bool(self) -> Bools:
        """Return the ``(out, in)`` boolean array; costs one byte per edge of the dense layer."""
        unpacked = np.unpackbits(self.bits, axis=1, count=self.shape[1], bitorder="little")
        return unpacked.view(np.bool_)

    @property
    def edges(self) -> int:
        """Number of edges."""
        return count_edges(self.bits)

    def out_degrees(self) -> Degrees:
        """Return the ``(out,)`` degrees of the output vertices."""
        degrees: Degrees = np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64)
        return degrees

    def in_degrees(self) -> Degrees:
        """Return the ``(in,)`` degrees of the input vertices."""
        degrees = np.zeros(self.shape[1], np.int64)
        for block in row_blocks(self):
            degrees += block.sum(axis=0, dtype=np.int64)
        return degrees

    def adjacency(self) -> tuple[Degrees, Indices]:
        """Return CSR ``(indptr, indices)``: the ascending inputs of every output."""
        indptr = np.zeros(self.shape[0] + 1, np.int64)
        np.cumsum(self.out_degrees(), out=indptr[1:])
        blocks = [np.nonzero(block)[1].astype(np.int32) for block in row_blocks(self)]
        return indptr, np.concatenate(blocks)


def count_edges(bits: Bits) -> int:
    """Return the number of edges in packed rows."""
    whole = bits.reshape(-1)
    eight = whole.view(np.uint64) if whole.size % 8 == 0 else whole
    return int(np.bitwise_count(eight).sum(dtype=np.int64))


def row_blocks(graph: Graph) -> Iterator[Bools]:
    """Unpack a few rows at a time, so that a huge layer is never unpacked as a whole."""
    out, n_in = graph.shape
    rows = max(1, _BLOCK_CELLS // n_in)
    for start in range(0, out, rows):
        block = np.unpackbits(
            graph.bits[start : start + rows], axis=1, count=n_in, bitorder="little"
        )
        yield block.view(np.bool_)
