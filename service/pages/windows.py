"""A window on a layer's edges: its tiles as a picture, and what one tile means."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Any, get_args

import numpy as np

from raiw.errors import InvalidInput
from raiw.graphs import Graph
from raiw.pictures.maps import FURTHEST, Mode, map_tiles, tile_png, tile_values
from raiw.pictures.tiles import Tiles, Window

WIDTH = 1000
"""Of the drawing, in its own units."""
_NARROWEST = 0.12
"""Of the longer side, so that a very long layer is still seen."""
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_CLOSEST = 8
"""Vertices along a side of the smallest window."""
_SCALES = (1 << 14, 1 << 10, 1 << 6)
"""Tiles at most that the furthest block is looked for among."""


@dataclass(frozen=True, slots=True)
class MapView:
    """Which outputs and inputs of a layer are looked at, and how."""

    rows: Window
    columns: Window
    mode: Mode = "density"

    @classmethod
    def of(cls, graph: Graph, mode: str, rows: str, columns: str) -> "MapView":
        """Return what the parameters of an address ask for; ``rows`` is ``first-end``.

        Raises
        ------
        InvalidInput
            The mode is unknown, or a window is not inside the layer.
        """
        out, n_in = graph.shape
        if mode not in get_args(Mode):
            raise InvalidInput(f"mode is one of {', '.join(get_args(Mode))}, not {mode[:40]!r}")
        return cls(_window("rows", rows, out), _window("columns", columns, n_in), mode)  # type: ignore[arg-type]

    def query(self) -> str:
        """Return the parameters that ask for this view."""
        (top, bottom), (left, right) = self.rows, self.columns
        return f"mode={self.mode}&rows={top}-{bottom}&columns={left}-{right}"

    def in_mode(self, mode: Mode) -> "MapView":
        """Return the same window in another mode."""
        return replace(self, mode=mode)

    def zoomed(self, shape: tuple[int, int], factor: float) -> "MapView":
        """Return a window of the same centre, ``factor`` times as wide and high."""
        out, n_in = shape
        return replace(
            self, rows=_scaled(self.rows, factor, out), columns=_scaled(self.columns, factor, n_in)
        )

    def tiles(self, graph: Graph) -> Tiles:
        """Count the edges under each dot of the picture."""
        return map_tiles(graph, self.mode, self.rows, self.columns)

    def to_json(self, graph: Graph, groups: int) -> dict[str, Any]:
        """Return the picture of a window, its numbers, and what they mean."""
        tiles = self.tiles(graph)
        return {
            "mode": self.mode,
            "rows": self.rows,
            "columns": self.columns,
            "side": tiles.side,
            "image": self.picture(graph, groups),
            "counts": tiles.counts.tolist(),
            "caption": self.caption(graph, groups),
        }

    def picture(self, graph: Graph, groups: int) -> str:
        """Return the tiles as the address of an image."""
        picture = tile_png(graph, self.mode, self.rows, self.columns, groups=groups)
        return f"data:image/png;base64,{base64.b64encode(picture).decode()}"

    def caption(self, graph: Graph, groups: int) -> str:
        """Say what a tile and its colour mean."""
        tiles = self.tiles(graph)
        side = min(tiles.side, graph.shape[0]), min(tiles.side, graph.shape[1])
        tile = "a dot is one edge" if tiles.side == 1 else f"a dot is {side[0]} × {side[1]} edges"
        values = tile_values(graph, tiles, self.mode, groups)
        if self.mode == "deviation":
            return (
                f"{tile}; blue has fewer, orange more than a random mask of these degrees, from "
                f"−{FURTHEST:g} σ to +{FURTHEST:g} σ; here {values.min():+.1f} σ to "
                f"{values.max():+.1f} σ"
            )
        if tiles.side == 1:
            return f"{tile}: coloured where it is kept"
        return (
            f"{tile}; the stronger its colour, the more are kept, from none to "
            f"{100 * values.max():.1f} %; {100 * tiles.counts.sum() / tiles.cells.sum():.2f} % of "
            f"the window"
        )


@dataclass(frozen=True, slots=True)
class Furthest:
    """The block that differs most from a random mask, among blocks of one size."""

    side: int
    rows: Window
    columns: Window
    edges: int
    cells: int
    sigmas: float
    by_chance: float
    """About as far as the furthest of so many blocks is in a random mask."""


def furthest_blocks(graph: Graph, groups: int) -> Iterator[Furthest]:
    """Yield what an eye looks for on the map, for blocks of several sizes."""
    seen = set()
    for most in _SCALES:
        tiles = map_tiles(graph, "deviation", most=most)
        if tiles.side == 1 or tiles.side in seen or tiles.counts.size < 4:  # noqa: PLR2004 -- a square
            continue
        seen.add(tiles.side)
        sigmas = tile_values(graph, tiles, "deviation", groups)
        row, column = np.unravel_index(np.abs(sigmas).argmax(), sigmas.shape)
        yield Furthest(
            side=tiles.side,
            rows=(int(tiles.rows[row]), int(tiles.rows[row + 1])),
            columns=(int(tiles.columns[column]), int(tiles.columns[column + 1])),
            edges=int(tiles.counts[row, column]),
            cells=int(tiles.cells[row, column]),
            sigmas=float(sigmas[row, column]),
            by_chance=sqrt(2 * log(2 * tiles.counts.size)),
        )


def height(shape: tuple[int, int]) -> int:
    """Return how high the drawing of a layer is, ``WIDTH`` wide."""
    out, n_in = shape
    return round(WIDTH * min(max(out / n_in, _NARROWEST), 1 / _NARROWEST))


def _window(name: str, text: str, size: int) -> Window:
    if not text:
        return 0, size
    found = _RANGE.fullmatch(text)
    if found is None or not 0 <= int(found[1]) < int(found[2]) <= size:
        raise InvalidInput(
            f"{name} is first-end with 0 ≤ first < end ≤ {size}, such as 0-{size}, not "
            f"{text[:40]!r}"
        )
    return int(found[1]), int(found[2])


def _scaled(window: Window, factor: float, size: int) -> Window:
    first, end = window
    length = min(max(round((end - first) * factor), min(_CLOSEST, size)), size)
    first = min(max(round((first + end - length) / 2), 0), size - length)
    return first, first + length
