"""Drawings as PNG, by Pillow, for programs that show no SVG."""

import io
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raiw import extras
from raiw.pictures.drawing import Bitmap, Box, Drawing, Mark, Moved, Path, Pixel, Words
from raiw.pictures.palette import COLOURS
from raiw.pictures.svg import corners

if TYPE_CHECKING:
    from PIL import Image, ImageFont

Theme = Literal["light", "dark"]

_SCALE = 2
_FINE = 4
"""Times as fine slanted edges are drawn before they are made smooth."""
_DASH, _SPACE = 5, 3
_PLAIN = str.maketrans({"×": "x", "−": "-", "–": "-", "…": "...", "±": "+-", "λ": "lambda"})
"""What Pillow's own font, the one that is everywhere, lacks."""
_SHIFTS = {"start": "ls", "middle": "ms", "end": "rs"}
"""Pillow's names of where a text's baseline stands."""


def png(drawing: Drawing, theme: Theme = "light") -> bytes:
    """Return a drawing as PNG, two pixels for each of its units.

    Raises
    ------
    MissingExtra
        Pillow is not installed.
    """
    images = extras.load("PIL.Image")
    size = (round(drawing.width * _SCALE), round(drawing.height * _SCALE))
    canvas = images.new("RGB", size, _rgb("surface", theme))
    _Painter(canvas, theme).draw(drawing, 0, 0)
    written = io.BytesIO()
    canvas.save(written, "PNG")
    return written.getvalue()


def _rgb(colour: str, theme: Theme) -> tuple[int, ...]:
    return tuple(bytes.fromhex(getattr(COLOURS[colour], theme)[1:]))


class _Painter:
    def __init__(self, canvas: "Image.Image", theme: Theme) -> None:
        from PIL import ImageDraw

        self.canvas, self.theme = canvas, theme
        self.brush = ImageDraw.Draw(canvas)

    def draw(self, drawing: Drawing, x: float, y: float) -> None:
        """Draw the shapes of a drawing whose corner is at a place."""
        for shape in drawing.shapes:
            match shape:
                case Moved():
                    self.draw(shape.drawing, x + shape.x, y + shape.y)
                case Box():
                    self._box(shape, x, y)
                case Words():
                    self._words(shape, x, y)
                case Bitmap():
                    self._bitmap(shape, x, y)
                case Path():
                    self._path(shape, x, y)
                case Mark():
                    self._mark(shape, x, y)

    def _box(self, box: Box, x: float, y: float) -> None:
        left, top = _SCALE * (x + box.x), _SCALE * (y + box.y)
        right, bottom = left + _SCALE * box.width, top + _SCALE * box.height
        area = (round(left), round(top), max(round(right) - 1, round(left)), round(bottom) - 1)
        colour = _rgb(box.colour, self.theme)
        if area[3] < area[1]:
            return
        if box.filled:
            self.brush.rectangle(area, fill=colour)
        else:
            self.brush.rectangle(area, outline=colour, width=_SCALE)

    def _bitmap(self, bitmap: Bitmap, x: float, y: float) -> None:
        from PIL import Image

        size = (max(round(_SCALE * bitmap.width), 1), max(round(_SCALE * bitmap.height), 1))
        pixels = Image.fromarray(np.ascontiguousarray(bitmap.ramp[bitmap.levels]))
        pixels = pixels.resize(size, Image.Resampling.NEAREST)
        place = (round(_SCALE * (x + bitmap.x)), round(_SCALE * (y + bitmap.y)))
        self.canvas.paste(pixels, place, pixels)

    def _words(self, words: Words, x: float, y: float) -> None:
        from PIL import Image, ImageDraw

        font, colour = _font(words.size), _rgb(words.colour, self.theme)
        text = words.text.translate(_PLAIN).encode("ascii", "replace").decode()
        heavier = 0.4 if words.bold else 0
        place = (_SCALE * (x + words.x), _SCALE * (y + words.y))
        how: dict[str, Any] = {"font": font, "stroke_width": heavier}
        if not words.turned:
            anchor = _SHIFTS[words.anchor]
            self.brush.text(place, text, fill=colour, anchor=anchor, **how)
            return
        long, high = round(font.getlength(text)) + 4, 2 * _SCALE * words.size
        line = Image.new("L", (long, high))
        ImageDraw.Draw(line).text((2, high * 0.7), text, fill=255, anchor="ls", **how)
        turned = line.rotate(90, expand=True)
        up = {"start": long - 2, "middle": long / 2, "end": 2}[words.anchor]
        corner = (round(place[0] - high * 0.7), round(place[1] - up))
        self.canvas.paste(Image.new("RGB", turned.size, colour), corner, turned)

    def _path(self, path: Path, x: float, y: float) -> None:
        points = [(x + at_x, y + at_y) for at_x, at_y in path.points]
        lines = _dashes(points) if path.dashed else [points]
        width = round(path.width * _SCALE * _FINE)

        def lay(brush: Any, fine: Callable[[Pixel], Pixel]) -> None:
            for line in lines:
                brush.line([fine(place) for place in line], fill=255, width=width, joint="curve")

        self._smooth(points, path.width, path.colour, lay)

    def _mark(self, mark: Mark, x: float, y: float) -> None:
        middle = (x + mark.x, y + mark.y)

        def lay(brush: Any, fine: Callable[[Pixel], Pixel]) -> None:
            if mark.marker == "circle":
                brush.circle(fine(middle), mark.size * _SCALE * _FINE, fill=255)
            else:
                brush.polygon([fine((x + a, y + b)) for a, b in corners(mark)], fill=255)

        self._smooth([middle], 2 * mark.size, mark.colour, lay)

    def _smooth(
        self, points: list[Pixel], margin: float, colour: str, lay: Callable[..., None]
    ) -> None:
        """Lay a shape on a fine mask around its points, and paint through it."""
        from PIL import Image, ImageDraw

        across, down = zip(*points, strict=True)
        left, top = int(min(across) - margin) - 1, int(min(down) - margin) - 1
        right, bottom = int(max(across) + margin) + 2, int(max(down) + margin) + 2
        size = ((right - left) * _SCALE, (bottom - top) * _SCALE)
        times = _SCALE * _FINE
        fine = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
        lay(
            ImageDraw.Draw(fine),
            lambda place: ((place[0] - left) * times, (place[1] - top) * times),
        )
        mask = fine.resize(size, Image.Resampling.BOX)
        paint = Image.new("RGB", size, _rgb(colour, self.theme))
        self.canvas.paste(paint, (left * _SCALE, top * _SCALE), mask)


def _font(size: int) -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    font: Any = ImageFont.load_default(size * _SCALE)
    return font  # type: ignore[no-any-return]


def _dashes(points: list[Pixel]) -> list[list[Pixel]]:
    """Return the dashes of a line, of one length along it."""
    dashes: list[list[Pixel]] = []
    done = 0.0
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        length = float(np.hypot(to_x - x, to_y - y))
        steps = max(int(length), 1)
        for step in range(steps):
            a, b = step / steps, (step + 1) / steps
            piece = [(x + (to_x - x) * t, y + (to_y - y) * t) for t in (a, b)]
            if (done + a * length) % (_DASH + _SPACE) < _DASH:
                dashes.append(piece)
        done += length
    return dashes
