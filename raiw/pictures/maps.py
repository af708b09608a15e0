"""Where the edges of a layer are: a map of tiles, and a thumbnail."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from raiw.graphs import Floats, Graph
from raiw.pictures.drawing import Bitmap, Box, Drawing, Shape, Words
from raiw.pictures.palette import DENSITY, DEVIATION, Ramp
from raiw.pictures.png import indexed_png
from raiw.pictures.tiles import MOST_TILES, Tiles, Window, count_tiles, deviations

Mode = Literal["density", "deviation"]

FURTHEST = 4.0
"""Standard deviations at which the colours of a deviation end."""
_LEFT, _TOP, _BELOW = 52, 22, 44
_NARROWEST = 0.12
"""Of the longer side, so that a very long layer is still seen."""
_THUMBNAIL_TILES = 40 * 40
_TELLING = 16
"""Edges that a tile must be expected to have for its deviation to tell more than its chance."""


def mask_map(
    graph: Graph,
    *,
    groups: int = 1,
    name: str = "",
    mode: Mode = "density",
    width: float = 720,
) -> Drawing:
    """Draw where the edges of a layer are.

    Parameters
    ----------
    graph, groups
        The layer's graph, ``(out, in/groups)``: group g owns the rows from ``g·out/groups``.
    name
        Of the layer, for the title.
    mode
        ``density``: the share of edges kept in each tile; ``deviation``: how far that is from a
        random mask of the same degrees (:func:`raiw.pictures.tiles.deviations`).
    width
        Of the drawing; a layer with more outputs than inputs is drawn narrower.
    """
    tiles = map_tiles(graph, mode)
    values = tile_values(graph, tiles, mode, groups)
    wide, high = _extent(graph.shape, width - _LEFT - 1)
    out, n_in = graph.shape
    of_group = " of each group" if groups > 1 else ""
    shapes: list[Shape] = [
        _bitmap(values, mode, _LEFT, _TOP, wide, high),
        Box(x=_LEFT, y=_TOP, width=wide, height=high, colour="grid", filled=False),
        Words(x=_LEFT, y=_TOP - 7, text=f"{n_in:,} inputs{of_group}"),
        Words(x=_LEFT - 10, y=_TOP, text=f"{out:,} outputs", anchor="end", turned=True),
        *_key(values, mode, tiles, _TOP + high + 16),
    ]
    return Drawing(
        width=max(width, _LEFT + wide + 1),
        height=_TOP + high + _BELOW,
        title=f"Edges of {name}" if name else "Edges of the layer",
        description=_description(tiles, values, mode, groups),
        shapes=tuple(shapes),
    )


def thumbnail(graph: Graph, *, name: str = "", size: float = 64) -> Drawing:
    """Draw a layer's map without words, in a square of ``size``."""
    tiles = count_tiles(graph, most=_THUMBNAIL_TILES)
    wide, high = _extent(graph.shape, size - 2)
    x, y = (size - wide) / 2, (size - high) / 2
    return Drawing(
        width=size,
        height=size,
        title=name or "Edges of the layer",
        description=_description(tiles, tiles.density, "density", 1),
        shapes=(
            _bitmap(tiles.density, "density", x, y, wide, high),
            Box(x=x, y=y, width=wide, height=high, colour="grid", filled=False),
        ),
    )


def map_tiles(
    graph: Graph,
    mode: Mode,
    rows: Window | None = None,
    columns: Window | None = None,
    *,
    most: int = MOST_TILES,
) -> Tiles:
    """Count the tiles of a window: as many as allowed, fewer where a deviation needs larger ones.

    With :func:`tile_values` this is the map as numbers, at the detail that a zoom asks for.
    """
    if mode == "deviation":
        edges = int(count_tiles(graph, rows, columns, most=1).counts.sum())
        most = min(most, max(edges // _TELLING, 1))
    return count_tiles(graph, rows, columns, most=most)


def tile_values(graph: Graph, tiles: Tiles, mode: Mode, groups: int = 1) -> Floats:
    """Return what a map shows of each tile: a share of edges, or standard deviations."""
    return tiles.density if mode == "density" else deviations(graph, tiles, groups)


def tile_png(
    graph: Graph,
    mode: Mode = "density",
    rows: Window | None = None,
    columns: Window | None = None,
    *,
    groups: int = 1,
    most: int = MOST_TILES,
) -> bytes:
    """Return the tiles of a window as a PNG of a pixel each, on a transparent ground."""
    tiles = map_tiles(graph, mode, rows, columns, most=most)
    return indexed_png(*_levels(tile_values(graph, tiles, mode, groups), mode))


def _bitmap(values: Floats, mode: Mode, x: float, y: float, width: float, height: float) -> Bitmap:
    levels, ramp = _levels(values, mode)
    return Bitmap(x=x, y=y, width=width, height=height, levels=levels, ramp=ramp)


def _levels(values: Floats, mode: Mode) -> tuple[npt.NDArray[np.uint8], Ramp]:
    if mode == "density":
        ramp, share = DENSITY, values / (values.max() or 1.0)
    else:
        ramp, share = DEVIATION, np.clip(values / FURTHEST, -1, 1) / 2 + 0.5
    return np.rint(share * (len(ramp) - 1)).astype(np.uint8), ramp


def _extent(shape: tuple[int, int], room: float) -> tuple[float, float]:
    """Return the width and height of a layer's map."""
    out, n_in = shape
    longer = max(out, n_in)
    wide, high = (room * max(side / longer, _NARROWEST) for side in (n_in, out))
    return wide, high


def _key(values: Floats, mode: Mode, tiles: Tiles, y: float) -> list[Shape]:
    """Return the ramp with its ends, and what a tile is."""
    if mode == "density":
        ramp, low, high = DENSITY, "0 %", f"{100 * values.max():.3g} %"
        unit = "of the edges kept"
    else:
        ramp, low, high = DEVIATION, f"−{FURTHEST:g}", f"+{FURTHEST:g}"
        unit = "standard deviations"
    steps = np.arange(len(ramp), dtype=np.uint8)[None, :]
    start = _LEFT + 30
    side = tiles.side
    tile = "a square is one edge" if side == 1 else f"a square is {side} × {side} edges"
    return [
        Words(x=start - 6, y=y + 9, text=low, anchor="end"),
        Bitmap(x=start, y=y, width=100, height=10, levels=steps, ramp=ramp),
        Box(x=start, y=y, width=100, height=10, colour="grid", filled=False),
        Words(x=start + 106, y=y + 9, text=high),
        Words(x=_LEFT, y=y + 26, text=f"{unit}; {tile}"),
    ]


def _description(tiles: Tiles, values: Floats, mode: Mode, groups: int) -> str:
    edges, cells = int(tiles.counts.sum()), int(tiles.cells.sum())
    out, n_in = tiles.rows[-1] - tiles.rows[0], tiles.columns[-1] - tiles.columns[0]
    whole = (
        f"{out:,} outputs × {n_in:,} inputs{f' in {groups:,} groups' if groups > 1 else ''}, "
        f"{edges:,} of {cells:,} edges kept ({100 * (edges / cells):.2f} %). "
    )
    side = tiles.side
    if mode == "density":
        what = f"Tiles of {side} × {side} keep {values.min():.2%} to {values.max():.2%} of theirs."
    else:
        far = np.abs(values).max()
        what = (
            f"Tiles of {side} × {side} differ from a random mask of the same degrees by "
            f"{np.sqrt(np.mean(values**2)):.2f} standard deviations on average, {far:.1f} at most."
        )
    return whole + what
