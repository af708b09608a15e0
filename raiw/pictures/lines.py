"""Charts of lines, with or without their points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raiw.pictures.axes import Axis, frame
from raiw.pictures.drawing import Drawing, Mark, Path, Pixel, Shape, Words, text_width
from raiw.pictures.labels import beside
from raiw.pictures.palette import Look

LEFT, RIGHT = 58, 14
"""Of the axis that goes across."""
_BOTTOM, _ROW = 44, 18
_KEY = 20
"""Width of a line in the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series of points, in the order in which the line goes through them."""

    name: str
    points: Sequence[Pixel]
    look: Look
    dashed: bool = False
    joined: bool = True
    marked: bool = False
    """Whether its points are marked."""
    hollow: bool = False
    """Whether marks are rings."""
    labels: Sequence[str] = ()
    """Written beside the points."""
    errors: Sequence[float] = ()
    """Halves of the heights of error bars."""


def line_chart(  # noqa: PLR0913 -- four of them are words
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    title: str,
    description: str,
    width: float = 350,
    height: float = 260,
    logarithmic: Literal["", "x", "y"] = "",
    across: tuple[float, float] | None = None,
    up: tuple[float, float] | None = None,
    whole: bool = False,
    key: Sequence[Line] | None = None,
) -> Drawing:
    """Draw lines over one axis, with a key above them.

    Parameters
    ----------
    x, y
        What the axes show, with units.
    logarithmic
        The axis that is, if any; it shows no 0.
    across, up
        Ends of the axes; left out, they show all points.
    whole
        Whether ``x`` counts something.
    key
        Lines to name above the chart; all without.
    """
    named, rows = _key(lines if key is None else key, width)
    top = 30 + _ROW * rows
    places = [point for line in lines for point in line.points]
    ends = [
        value + side * error
        for line in lines
        for place, (_, value) in enumerate(line.points)
        for error in (line.errors[place] if line.errors else 0.0,)
        for side in (-1, 1)
    ]
    left, right = LEFT, width - RIGHT
    by_powers = logarithmic == "x"
    if across is None:
        at = Axis.over((n for n, _ in places), left, right, logarithmic=by_powers, whole=whole)
    else:
        at = Axis(*across, left, right, by_powers, whole)
    if up is None:
        high = Axis.over(ends, height - _BOTTOM, top, logarithmic=logarithmic == "y")
    else:
        high = Axis(*up, height - _BOTTOM, top)
    shapes = [*frame(at, high, x, y), *named]
    labelled: list[tuple[Pixel, str]] = []
    for line in lines:
        drawn, where = _drawn(line, at, high)
        shapes += drawn
        labelled += zip(where, line.labels, strict=False)
    shapes += beside(labelled, left, width)
    return Drawing(
        width=width, height=height, title=title, description=description, shapes=tuple(shapes)
    )


def _drawn(line: Line, across: Axis, up: Axis) -> tuple[list[Shape], list[Pixel]]:
    """Return a line, its error bars and its marks, and where its points are."""
    colour = line.look.colour
    places = [(across.at(x), up.at(y)) for x, y in line.points]
    shapes: list[Shape] = []
    if line.joined and len(places) > 1:
        shapes.append(Path(points=places, colour=colour, width=1.6, dashed=line.dashed))
    for (x, _), (_, value), error in zip(places, line.points, line.errors, strict=False):
        if error:
            ends = tuple((x, up.at(value + side * error)) for side in (-1, 1))
            shapes.append(Path(points=ends, colour=colour, width=1.4))
    if line.marked:
        for (x, y), (px, py) in zip(places, line.points, strict=True):
            says = f"{line.name}: {px:,.6g}, {py:.6g}"
            shapes += mark(x, y, line.look, says=says, hollow=line.hollow)
    return shapes, places


def mark(x: float, y: float, look: Look, *, says: str = "", hollow: bool = False) -> list[Shape]:
    """Return the mark of a point, as a ring where it is hollow."""
    whole = Mark(x=x, y=y, colour=look.colour, marker=look.marker, size=4.5, says=says)
    if not hollow:
        return [whole]
    return [whole, Mark(x=x, y=y, colour="surface", marker=look.marker, size=2.6, says=says)]


def _key(lines: Sequence[Line], width: float) -> tuple[list[Shape], int]:
    """Return the key of the lines, in as many rows as it needs."""
    shapes: list[Shape] = []
    x, row = 0.0, 0
    for line in lines:
        room = _KEY + 6 + text_width(line.name)
        if x and x + room > width:
            x, row = 0.0, row + 1
        y = 12 + _ROW * row
        if line.joined:
            ends = ((x, y - 4), (x + _KEY, y - 4))
            shapes.append(Path(points=ends, colour=line.look.colour, width=2, dashed=line.dashed))
        if line.marked:
            shapes += mark(x + _KEY / 2, y - 4, line.look, hollow=line.hollow)
        shapes.append(Words(x=x + _KEY + 6, y=y, text=line.name))
        x += room + 14
    return shapes, row + bool(lines)
