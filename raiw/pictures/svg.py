"""Drawings as SVG.

In a page, a colour is ``var(--raiw-<name>, …)`` in a presentation attribute: a strict content
security policy allows that, and the page's style sheet decides. A file has the light colour in the
attribute, where every program finds it, and one style sheet with the dark ones.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from math import cos, pi, sin

from raiw.markup import escaped
from raiw.pictures.drawing import (
    Bitmap,
    Box,
    Drawing,
    Mark,
    Moved,
    Path,
    Pixel,
    Shape,
    Words,
)
from raiw.pictures.palette import COLOURS
from raiw.pictures.png import indexed_png

_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
_CORNERS = {"square": (4, 45), "triangle": (3, -90), "wedge": (3, 90), "diamond": (4, 0)}
"""Corners of a marker and the angle of the first."""

_ON_ANY_GROUND = {"ink": "currentColor", "muted": "currentColor", "grid": "#80808055"}
"""Colours on a page that sets none, such as a notebook, light or dark."""

Paint = Callable[[str, str], str]
"""An attribute, ``fill`` or ``stroke``, and the name of a colour, as SVG attributes."""


def element(drawing: Drawing) -> str:
    """Return an ``<svg>`` element for an HTML page."""
    return _svg(drawing, _by_page, [])


def file(drawing: Drawing) -> str:
    """Return an SVG file."""
    dark = "".join(
        f".f-{name}{{fill:{colour.dark}}}.s-{name}{{stroke:{colour.dark}}}"
        for name, colour in COLOURS.items()
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{dark}}}</style>"
    surface = f'<rect width="100%" height="100%" {_by_class("fill", "surface")}/>'
    return _svg(drawing, _by_class, [style, surface]) + "\n"


def _svg(drawing: Drawing, paint: Paint, first: list[str]) -> str:
    width, height = _number(drawing.width), _number(drawing.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="{_FONT}" fill="none">'
    )
    says = f"<title>{escaped(drawing.title)}</title>\n<desc>{escaped(drawing.description)}</desc>"
    return "\n".join([head, says, *first, *_shapes(drawing, paint), "</svg>"])


def _by_page(attribute: str, colour: str) -> str:
    otherwise = _ON_ANY_GROUND.get(colour, COLOURS[colour].light)
    return f'{attribute}="var(--raiw-{colour}, {otherwise})"'


def _by_class(attribute: str, colour: str) -> str:
    return f'{attribute}="{COLOURS[colour].light}" class="{attribute[0]}-{colour}"'


def _shapes(drawing: Drawing, paint: Paint) -> Iterator[str]:
    for shape in drawing.shapes:
        if isinstance(shape, Moved):
            yield f'<g transform="translate({_at(shape.x, shape.y)})">'
            yield from _shapes(shape.drawing, paint)
            yield "</g>"
        else:
            yield _shape(shape, paint)


def _shape(shape: Shape, paint: Paint) -> str:
    match shape:
        case Box():
            how = paint("fill" if shape.filled else "stroke", shape.colour)
            return _ended(f"<rect {_area(shape)} {how}", "rect", shape.says)
        case Path():
            dashed = ' stroke-dasharray="5 3"' if shape.dashed else ""
            return (
                f'<polyline points="{_points(shape.points)}" {paint("stroke", shape.colour)} '
                f'stroke-width="{_number(shape.width)}" stroke-linejoin="round"{dashed}/>'
            )
        case Mark():
            return _mark(shape, paint)
        case Words():
            return _words(shape, paint)
        case Bitmap():
            data = base64.b64encode(indexed_png(shape.levels, shape.ramp)).decode()
            return (
                f'<image {_area(shape)} preserveAspectRatio="none" image-rendering="pixelated" '
                f'href="data:image/png;base64,{data}"/>'
            )
    raise TypeError(shape)


def _mark(mark: Mark, paint: Paint) -> str:
    how = paint("fill", mark.colour)
    if mark.marker == "circle":
        radius = _number(mark.size)
        start = f'<circle cx="{_number(mark.x)}" cy="{_number(mark.y)}" r="{radius}" {how}'
        return _ended(start, "circle", mark.says)
    return _ended(f'<polygon points="{_points(corners(mark))}" {how}', "polygon", mark.says)


def corners(mark: Mark) -> list[Pixel]:
    """Return the corners of a marker that is not a circle."""
    count, first = _CORNERS[mark.marker]
    angles = [(first / 180 + 2 * corner / count) * pi for corner in range(count)]
    reach = 1.25 * mark.size  # as large to the eye as a circle
    return [(mark.x + reach * cos(angle), mark.y + reach * sin(angle)) for angle in angles]


def _words(words: Words, paint: Paint) -> str:
    place = f'x="{_number(words.x)}" y="{_number(words.y)}"'
    how = f'{paint("fill", words.colour)} font-size="{words.size}"'
    if words.anchor != "start":
        how += f' text-anchor="{words.anchor}"'
    if words.bold:
        how += ' font-weight="600"'
    if words.turned:
        how += f' transform="rotate(-90 {_number(words.x)} {_number(words.y)})"'
    says = f"<title>{escaped(words.says)}</title>" if words.says else ""
    return f"<text {place} {how}>{escaped(words.text)}{says}</text>"


def _ended(start: str, name: str, says: str) -> str:
    return f"{start}><title>{escaped(says)}</title></{name}>" if says else f"{start}/>"


def _area(shape: Box | Bitmap) -> str:
    numbers = (shape.x, shape.y, shape.width, shape.height)
    x, y, width, height = map(_number, numbers)
    return f'x="{x}" y="{y}" width="{width}" height="{height}"'


def _points(points: Sequence[Pixel]) -> str:
    return " ".join(_at(x, y) for x, y in points)


def _at(x: float, y: float) -> str:
    return f"{_number(x)},{_number(y)}"


def _number(value: float) -> str:
    """Return a coordinate to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.10g}"
