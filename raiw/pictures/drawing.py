"""A drawing: a few kinds of shapes, in colours by name, and what it says in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from raiw.pictures.palette import Ramp

Anchor = Literal["start", "middle", "end"]
Pixel = tuple[float, float]

FONT_SIZE = 12
_LETTER = 0.56
"""Mean width of a letter over the size of its font."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle, or its outline."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    filled: bool = True
    says: str = ""
    """Shown when it is pointed at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A line through points."""

    points: Sequence[Pixel]
    colour: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point of a series."""

    x: float
    y: float
    colour: str
    marker: str = "circle"
    size: float = 4.0
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A line of text; ``y`` is its baseline."""

    x: float
    y: float
    text: str
    colour: str = "muted"
    size: int = FONT_SIZE
    anchor: Anchor = "start"
    bold: bool = False
    turned: bool = False
    """Reads upwards."""
    says: str = ""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Bitmap:
    """A picture of ``(rows, columns)`` levels of a ramp, in sharp squares."""

    x: float
    y: float
    width: float
    height: float
    levels: npt.NDArray[np.uint8]
    ramp: Ramp


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A drawing inside another."""

    x: float
    y: float
    drawing: "Drawing"


Shape: TypeAlias = Box | Path | Mark | Words | Bitmap | Moved


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Drawing:
    """Shapes on a surface of some pixels."""

    width: float
    height: float
    title: str
    description: str
    """What the picture says, for those who do not see it."""
    shapes: tuple[Shape, ...]

    def svg(self) -> str:
        """Return an SVG file, light or dark as its reader prefers."""
        from raiw.pictures.svg import file

        return file(self)

    def inline(self) -> str:
        """Return SVG for an HTML page: no style element, colours as the page sets them."""
        from raiw.pictures.svg import element

        return element(self)


def headed(drawing: Drawing, heading: str, note: str = "") -> Drawing:
    """Return a drawing below a heading and a line of explanation."""
    shapes: list[Shape] = [
        Words(x=0, y=15, text=heading, colour="ink", size=15, bold=True, says=heading)
    ]
    top = 24.0
    for line in wrapped(note, drawing.width):
        shapes.append(Words(x=0, y=top + 12, text=line))
        top += 17
    top += 8
    shapes.append(Moved(x=0, y=top, drawing=drawing))
    return Drawing(
        width=drawing.width,
        height=top + drawing.height,
        title=drawing.title,
        description=drawing.description,
        shapes=tuple(shapes),
    )


def padded(drawing: Drawing, margin: float) -> Drawing:
    """Return a drawing with room around it."""
    return Drawing(
        width=drawing.width + 2 * margin,
        height=drawing.height + 2 * margin,
        title=drawing.title,
        description=drawing.description,
        shapes=(Moved(x=margin, y=margin, drawing=drawing),),
    )


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Return about how wide a text is."""
    return _LETTER * size * len(text)


def shortened(text: str, width: float, size: float = FONT_SIZE) -> str:
    """Return a text that fits a width, its middle left out if need be: ends tell names apart.

    >>> shortened("model.layers.11.mlp.down_proj.weight", 120)
    'model.lay…oj.weight'
    """
    most = max(int(width / (_LETTER * size)), 3)
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def wrapped(text: str, width: float) -> list[str]:
    """Return the lines of a text that fit a width."""
    import textwrap

    return textwrap.wrap(text, max(int(width / (_LETTER * FONT_SIZE)), 20))


def shapes_of(drawing: Drawing) -> Iterator[Shape]:
    """Yield the shapes of a drawing and of those inside it."""
    for shape in drawing.shapes:
        yield shape
        if isinstance(shape, Moved):
            yield from shapes_of(shape.drawing)
