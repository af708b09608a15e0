"""The best cells of every row of a table; ties in random order."""

import numpy as np
import numpy.typing as npt

from raiw.crafting.randomness import Stream, edge_keys
from raiw.errors import Infeasible
from raiw.graphs import Bools
from raiw.kernels.cells import Scores

_BLOCK_CELLS = 1 << 22
_NARROW = 8
_LONG = 1 << 10

FlatIndices = npt.NDArray[np.int64]


def best(values: Scores, count: int, stream: Stream, edges: FlatIndices | None = None) -> Bools:
    """Mark the ``count`` largest values of every row; of equals those of the lowest key.

    Costs a partition of every row, and memory for one block of rows; where equals are told apart,
    some nanoseconds for each of them.

    Parameters
    ----------
    values
        ``(rows, columns)``.
    count
        Values of a row to be marked.
    stream
        The keys of :func:`raiw.crafting.randomness.edge_keys` come from it.
    edges
        The flat indices of the edges that the cells stand for; those of the cells if left out.
    """
    rows, columns = values.shape
    if count in (0, columns):
        return np.full(values.shape, count > 0)
    height = max(1, _BLOCK_CELLS // columns)
    kept = np.empty(values.shape, np.bool_)
    for top in range(0, rows, height):
        block = values[top : top + height]
        own = _Edges(top, block.shape, stream, edges)
        choose = _best_by_rank if columns <= _NARROW else _best_by_line
        kept[top : top + height] = choose(block, count, own)
    return kept


class _Edges:
    """The edges that the cells of a block of rows stand for."""

    def __init__(
        self, top: int, shape: tuple[int, int], stream: Stream, edges: FlatIndices | None
    ) -> None:
        self._top, self._shape, self._stream, self._edges = top, shape, stream, edges

    def keys(
        self, rows: FlatIndices | np.signedinteger, columns: FlatIndices
    ) -> npt.NDArray[np.uint32]:
        """Return the keys of some cells."""
        if self._edges is not None:
            return edge_keys(self._edges[self._top + rows, columns], self._stream)
        return edge_keys((self._top + rows) * self._shape[1] + columns, self._stream)

    def all_keys(self) -> npt.NDArray[np.uint32]:
        """Return the keys of all cells."""
        rows, columns = (np.arange(side, dtype=np.int64) for side in self._shape)
        return self.keys(rows[:, np.newaxis], columns[np.newaxis])


def require_allowed(kept: Bools, scores: Scores) -> None:
    """Require that no edge scored -inf is kept.

    Raises
    ------
    Infeasible
        Some are, which means that the contract cannot be kept without them.
    """
    forbidden = int(np.count_nonzero(kept & np.isneginf(scores)))
    if forbidden:
        out, n_in = kept.shape
        raise Infeasible(
            f"{forbidden} of {int(kept.sum())} edges cannot be placed in this {out} × {n_in} "
            f"graph: every graph that keeps its contract needs an edge scored -inf; score fewer "
            f"edges -inf or lower the target",
            missing=forbidden,
        )


def _best_by_rank(values: Scores, count: int, edges: _Edges) -> Bools:
    """Count for every cell of a few columns how many cells of its row come before it."""
    columns = np.ascontiguousarray(values.T)
    keys = None
    before = np.zeros(columns.shape, np.int8)
    for left, one in enumerate(columns):
        for right in range(left + 1, len(columns)):
            first = one > columns[right]
            tied = one == columns[right]
            if tied.any():
                keys = edges.all_keys() if keys is None else keys
                first |= tied & (keys[:, left] <= keys[:, right])
            before[right] += first
            before[left] += ~first
    return np.ascontiguousarray((before < count).T)


def _best_by_line(values: Scores, count: int, edges: _Edges) -> Bools:
    """Keep what is above the last value to be kept, and of its equals those of the lowest keys."""
    line = np.partition(values, -count, axis=1)[:, -count, np.newaxis]
    kept = values >= line
    surplus = kept.sum(axis=1) - count
    tied = np.flatnonzero(surplus)
    if values.shape[1] > _LONG:
        for row in tied:
            equal = np.flatnonzero(values[row] == line[row])
            dropped = _last_keys(edges.keys(row, equal), int(surplus[row]))
            kept[row, equal[dropped]] = False
        return kept
    rows, columns = np.nonzero(values[tied] == line[tied])
    order = np.lexsort((edges.keys(tied[rows], columns), rows))
    ends = np.cumsum(np.bincount(rows, minlength=len(tied)))
    dropped = order[np.arange(len(rows)) >= (ends - surplus[tied])[rows]]
    kept[tied[rows[dropped]], columns[dropped]] = False
    return kept


def _last_keys(keys: npt.NDArray[np.uint32], count: int) -> FlatIndices:
    """Return the places of the last keys; of equal ones the later come last."""
    places = np.arange(len(keys), dtype=np.uint64)
    unequal = keys.astype(np.uint64) << np.uint64(32) | places
    return np.argpartition(unequal, len(keys) - count)[len(keys) - count :]
