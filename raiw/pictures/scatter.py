"""Series of points, as studies draw them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from raiw.pictures.axes import Axis, frame
from raiw.pictures.drawing import Drawing, Mark, Path, Shape, Words, headed, padded
from raiw.pictures.palette import look_of

_WIDTH, _HEIGHT = 720, 400
_LEFT, _TOP, _BOTTOM = 64, 30, 44
_MARGIN = 20
_ROUNDING = 1e-9
"""Less is 0, and has no place on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a series, with the words shown when it is pointed at."""

    x: float
    y: float
    series: str
    """A crafting method; its colour and marker are the same in every picture."""
    label: str
    error: float = 0.0
    """Half the height of its error bar."""
    size: float = 4.0
    """Half the width of its mark."""


def scatter(  # noqa: PLR0913 -- each is a choice of its own
    points: Sequence[Point],
    *,
    x: str,
    y: str,
    title: str,
    note: str,
    joined: bool | Collection[str] = False,
    logarithmic: bool = False,
    counted: bool = False,
    apart: float = 5,
) -> Drawing:
    """Draw points over x on a logarithmic axis, each series a little beside the others.

    Parameters
    ----------
    x, y
        What the axes show, with units.
    title, note
        Heading, and what points, lines and bars are.
    joined
        Whether a line goes through each series, dashed where the method has a score of its own; or
        through which ones.
    logarithmic
        Whether the other axis is logarithmic too; points at 0 are left out.
    counted
        Whether x counts, so that its axis is linear.
    apart
        Pixels between series at the same x, so that none hides another.
    """
    points = [point for point in points if point.y > _ROUNDING or not logarithmic]
    series = list(dict.fromkeys(point.series for point in points))
    right = _WIDTH - 40 - 7 * max(map(len, series), default=0)
    positive = [point.x for point in points if point.x > _ROUNDING]
    least = 0.0 if counted else min([1.0, *positive])
    points = [replace(point, x=max(point.x, least)) for point in points]
    sides = [point.x for point in points]
    across = Axis.over(sides, _LEFT, right, logarithmic=not counted, whole=counted)
    ends = [point.y + side * point.error for point in points for side in (-1, 1)]
    up = Axis.over(ends, _HEIGHT - _BOTTOM, _TOP, logarithmic=logarithmic)
    shapes = frame(across, up, x, y)
    for place, name in enumerate(series):
        shift = apart * (place - (len(series) - 1) / 2)
        own = [point for point in points if point.series == name]
        through = joined if isinstance(joined, bool) else name in joined
        shapes += _series(own, across, up, shift, joined=through)
        shapes += _legend(name, right + 22, _TOP + 8 + 20 * place)
    drawing = Drawing(
        width=_WIDTH,
        height=_HEIGHT,
        title=title,
        description=" ".join([note, *(_summary(name, points) for name in series)]),
        shapes=tuple(shapes),
    )
    return padded(headed(drawing, title, note), _MARGIN)


def _series(
    points: Sequence[Point], across: Axis, up: Axis, shift: float, *, joined: bool
) -> list[Shape]:
    look = look_of(points[0].series)
    shapes: list[Shape] = []
    places = [(across.at(point.x) + shift, up.at(point.y)) for point in points]
    if joined and len(places) > 1:
        shapes.append(
            Path(points=places, colour=look.colour, width=1.4, dashed=":" in points[0].series)
        )
    for point, (at_x, at_y) in zip(points, places, strict=True):
        if point.error:
            bar = tuple((at_x, up.at(point.y + side * point.error)) for side in (-1, 1))
            shapes.append(Path(points=bar, colour=look.colour, width=1.4))
        says = f"{point.series}, {point.label}: {point.x:,.6g}, {point.y:.4g}"
        shapes.append(
            Mark(x=at_x, y=at_y, colour=look.colour, marker=look.marker, size=point.size, says=says)
        )
    return shapes


def _legend(name: str, x: float, y: float) -> list[Shape]:
    look = look_of(name)
    return [
        Mark(x=x, y=y - 4, colour=look.colour, marker=look.marker, size=5),
        Words(x=x + 12, y=y, text=name, colour="ink"),
    ]


def _summary(name: str, points: Sequence[Point]) -> str:
    own = [point.y for point in points if point.series == name]
    return f"{name}: {min(own):.4g} to {max(own):.4g}."
