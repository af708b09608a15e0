"""Maps of masks in a terminal: two squares of colour a character, or characters of some darkness.

Rows and columns of a map are as many as its width allows, so a square is of any size here.
"""

import numpy as np
from rich.style import Style
from rich.text import Text

from raiw.graphs import Bits, Floats, Graph
from raiw.pictures.tiles import count_blocks

SHADES = " ░▒▓█"
ASCII = " .:-=+*#%@"
_UPPER_HALF = "▀"
_NONE, _MOST = np.array([18, 24, 32]), np.array([110, 200, 255])
_TALLEST = 40
"""Squares of a map, from top to bottom."""


def half_blocks(graph: Graph, width: int) -> Text:
    """Return a map of a mask, two squares in each character; the brightest have the most edges."""
    shares = _shares(graph, width, 1.0)
    colours = np.rint(_NONE + shares[:, :, None] * (_MOST - _NONE)).astype(np.uint8)
    if len(colours) % 2:
        colours = np.concatenate([colours, np.broadcast_to(_NONE, colours[:1].shape)])
    lines = [
        Text.assemble(
            *(
                (_UPPER_HALF, Style(color=_hex(above), bgcolor=_hex(below)))
                for above, below in zip(upper, lower, strict=True)
            )
        )
        for upper, lower in zip(colours[::2], colours[1::2], strict=True)
    ]
    return Text("\n").join(lines)


def shaded(graph: Graph, width: int, shades: str) -> str:
    """Return a map of a mask in characters, from the first for no edge to the last for the most."""
    shares = _shares(graph, width, 0.5)
    levels = np.ceil(shares * (len(shades) - 1)).astype(np.intp)
    return "\n".join("".join(shades[level] for level in row) for row in levels)


def _shares(graph: Graph, width: int, height_of_width: float) -> Floats:
    """Return the share of edges in each square over the largest; a square's height in widths."""
    out, n_in = graph.shape
    by_width = min(width / n_in, _TALLEST / out)
    columns = min(max(round(n_in * by_width), 1), n_in)
    rows = min(max(round(out * by_width * height_of_width), 1), out)
    cuts = (
        np.linspace(0, side, count + 1).astype(np.int64)
        for side, count in ((out, rows), (n_in, columns))
    )
    at_rows, at_columns = cuts
    cells = np.outer(np.diff(at_rows), np.diff(at_columns))
    shares = count_blocks(graph, at_rows, at_columns) / cells
    most = float(shares.max())
    found: Floats = shares / most if most else shares
    return found


def _hex(rgb: Bits) -> str:
    return "#" + bytes(rgb).hex()
