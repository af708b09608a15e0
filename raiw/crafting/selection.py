"""The best cells of every row of a table, ties by lowest index."""

import numpy as np

from raiw.errors import Infeasible
from raiw.graphs import Bools
from raiw.kernels.cells import Scores

_BLOCK_CELLS = 1 << 22
_NARROW = 8


def best(values: Scores, count: int) -> Bools:
    """Mark the ``count`` largest values of every row, the first ones among equals.

    Costs a partition of every row, and memory for one block of rows.
    """
    rows, columns = values.shape
    if count in (0, columns):
        return np.full(values.shape, count > 0)
    if columns <= _NARROW:
        return _best_by_rank(values, count)
    height = max(1, _BLOCK_CELLS // columns)
    blocks = [_best_by_line(values[top : top + height], count) for top in range(0, rows, height)]
    return np.concatenate(blocks)


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


def _best_by_rank(values: Scores, count: int) -> Bools:
    """Count for every cell of a few columns how many cells of its row come before it."""
    columns = np.ascontiguousarray(values.T)
    before = np.zeros(columns.shape, np.int8)
    for left, one in enumerate(columns):
        for right in range(left + 1, len(columns)):
            first = one >= columns[right]
            before[right] += first
            before[left] += ~first
    return np.ascontiguousarray((before < count).T)


def _best_by_line(values: Scores, count: int) -> Bools:
    """Keep what is above the last value to be kept, and of its equals the first ones."""
    line = np.partition(values, -count, axis=1)[:, -count, np.newaxis]
    kept = values >= line
    surplus = kept.sum(axis=1) - count
    tied = np.flatnonzero(surplus)
    equal = values[tied] == line[tied]
    from_last = np.cumsum(equal[:, ::-1], axis=1, dtype=np.int32)[:, ::-1]
    kept[tied] &= ~(equal & (from_last <= surplus[tied, np.newaxis]))
    return kept
