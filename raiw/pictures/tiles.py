"""The edges of a graph counted in tiles: what a map of a large mask is made of.

A window of any rows and columns is cut into square tiles of a power of two, so that no more than a
given number is needed. Counting reads the window's packed rows once: 7 MB, some ten
milliseconds, for a layer of 4096 × 14336.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raiw.graphs import Degrees, Floats, Graph

MOST_TILES = 1 << 16
MOST_ALONG = 1 << 10
"""Tiles along one side."""

Window = tuple[int, int]
"""First vertex, and the one after the last."""


@dataclass(frozen=True, eq=False, slots=True)
class Tiles:
    """Edges of a window of a graph, counted in tiles."""

    rows: Degrees
    """``(r + 1,)`` outputs at which tiles begin, and the end of the last."""
    columns: Degrees
    """``(c + 1,)`` inputs, likewise."""
    counts: Degrees
    """``(r, c)`` edges."""
    side: int
    """Outputs and inputs of a tile; those at the end may have fewer."""

    @property
    def cells(self) -> Degrees:
        """Return the ``(r, c)`` edges that the dense layer has."""
        return np.outer(np.diff(self.rows), np.diff(self.columns))

    @property
    def density(self) -> Floats:
        """Return the ``(r, c)`` shares of the edges that are kept."""
        return self.counts / self.cells


def count_tiles(
    graph: Graph,
    rows: Window | None = None,
    columns: Window | None = None,
    *,
    most: int = MOST_TILES,
) -> Tiles:
    """Count the edges of a window in tiles.

    Parameters
    ----------
    graph
        A mask's graph, ``(out, in/groups)``.
    rows, columns
        The window, ``0 ≤ first < end``, inside the graph; all of it without.
    most
        Tiles at most, and at most :data:`MOST_ALONG` along a side.

    Examples
    --------
    >>> count_tiles(Graph.from_bool(np.eye(4, dtype=bool)), most=4).counts.tolist()
    [[2, 0], [0, 2]]
    """
    (top, bottom), (left, right) = rows or (0, graph.shape[0]), columns or (0, graph.shape[1])
    side = tile_side(bottom - top, right - left, most)
    at_rows, at_columns = _cuts(top, bottom, side), _cuts(left, right, side)
    return Tiles(at_rows, at_columns, count_blocks(graph, at_rows, at_columns), side)


def tile_side(height: int, width: int, most: int = MOST_TILES) -> int:
    """Return the side of the smallest square tiles that are few enough."""
    side = 1
    while -(-height // side) * -(-width // side) > most or max(height, width) > MOST_ALONG * side:
        side *= 2
    return side


def count_blocks(graph: Graph, rows: Degrees, columns: Degrees) -> Degrees:
    """Count the edges of blocks between ascending ``rows`` and ``columns``."""
    first, end = columns[0] >> 3, -(-columns[-1] // 8)
    inside = columns & 7  # a cut within a byte counts the bits below it too
    cut = np.flatnonzero(inside)
    low = ((1 << inside[cut]) - 1).astype(np.uint8)
    whole = np.empty((len(rows) - 1, len(columns)), np.int64)
    before = np.zeros(end - first + 1, np.int64)
    for place, (top, bottom) in enumerate(pairwise(rows)):
        bits = graph.bits[top:bottom]
        by_byte = np.bitwise_count(bits[:, first:end]).sum(axis=0, dtype=np.int64)
        np.cumsum(by_byte, out=before[1:])
        whole[place] = before[(columns >> 3) - first]
        parts = np.bitwise_count(bits[:, columns[cut] >> 3] & low)
        whole[place, cut] += parts.sum(axis=0, dtype=np.int64)
    return np.diff(whole, axis=1)


def deviations(graph: Graph, tiles: Tiles, groups: int = 1) -> Floats:
    r"""Return by how many standard deviations tiles differ from a random mask of the same degrees.

    With the degrees ``a`` of R outputs and ``b`` of C inputs of a group of m edges, a tile of r
    outputs and c inputs expects ``e = Σa·Σb/m`` edges of its r·c cells, and has the variance

        e (1 - e/rc) · (1 - r/R)(1 - c/C) · RC/((R - 1)(C - 1)),

    exactly where all degrees of a side are equal: then every two cells of a row, of a column and
    of neither have one covariance each, and rows and columns have no variance. A tile that cannot
    vary, such as a whole row of tiles, deviates by 0. Tiles across groups add up.
    """
    out, n_in = graph.shape
    group_rows = out // groups
    every = np.arange(0, out + 1, group_rows)
    by_group = count_blocks(graph, every, tiles.columns)
    edges = count_blocks(graph, every, np.array([0, n_in]))
    share = by_group / np.maximum(edges, 1)

    inside = every[(every > tiles.rows[0]) & (every < tiles.rows[-1])]
    pieces = np.union1d(tiles.rows, inside)
    group = pieces[:-1] // group_rows
    outputs = np.add.reduceat(graph.out_degrees()[pieces[0] : pieces[-1]], pieces[:-1] - pieces[0])
    height, width = np.diff(pieces)[:, None], np.diff(tiles.columns)
    cells = height * width
    expected = np.minimum(outputs[:, None] * share[group], cells)
    variance = (
        expected * (1 - expected / cells) * _left_over(height, group_rows) * _left_over(width, n_in)
    )
    starts = np.searchsorted(pieces, tiles.rows[:-1])
    expected, variance = (np.add.reduceat(each, starts, axis=0) for each in (expected, variance))
    spread = np.sqrt(np.maximum(variance, 0.0))
    fixed = spread < 1e-9  # noqa: PLR2004 -- rounding
    found: Floats = np.where(fixed, 0.0, (tiles.counts - expected) / np.where(fixed, 1.0, spread))
    return found


def _left_over(taken: Degrees, of: int) -> Floats:
    return (1 - taken / of) * of / max(of - 1, 1)


def _cuts(first: int, end: int, side: int) -> Degrees:
    return np.append(np.arange(first, end, side), end)
