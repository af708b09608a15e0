"""Axes of charts, linear and logarithmic, with round numbers on them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from raiw.pictures.drawing import Path, Shape, Words

_MOST_TICKS = 6
_FEWEST_TICKS = 3
_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from ``low`` to ``high`` at pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        stop: float,
        *,
        logarithmic: bool = False,
        margin: float = _MARGIN,
    ) -> "Axis":
        """Return an axis that shows values, and a margin of its length on both sides."""
        known = [math.log10(value) if logarithmic else value for value in values]
        low, high = min(known, default=0.0), max(known, default=1.0)
        room = margin * (high - low) or 0.5
        low, high = low - room, high + room
        if logarithmic:
            low, high = 10**low, 10**high
        return cls(low, high, start, stop, logarithmic)

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        place, low, high = value, self.low, self.high
        if self.logarithmic:
            place, low, high = math.log10(value), math.log10(low), math.log10(high)
        return self.start + (place - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return a few round numbers: 1, 2 or 5 times a power of ten, or steps of such."""
        return self._decades() if self.logarithmic else self._steps()

    def _steps(self) -> list[float]:
        rough = (self.high - self.low) / _MOST_TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9)) * power
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]

    def _decades(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
            values = [digit * 10.0**power for power in powers for digit in digits]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) >= _FEWEST_TICKS:
                return inside[:: -(-len(inside) // _MOST_TICKS)]
        return self._steps()


def label(value: float) -> str:
    """Return a number as an axis shows it.

    >>> label(20000), label(0.05), label(1e-7)
    ('20,000', '0.05', '1e-07')
    """
    if value == round(value) and abs(value) < 1e9:  # noqa: PLR2004 -- as people read it
        return f"{value:,.0f}"
    return f"{value:.6g}"


def frame(across: Axis, up: Axis, x: str, y: str) -> list[Shape]:
    """Return the grid, the numbers and the titles of two axes; ``up`` starts at the bottom."""
    bottom, top, left, right = up.start, up.stop, across.start, across.stop
    shapes: list[Shape] = []
    for tick in up.ticks():
        at = up.at(tick)
        shapes.append(Path(points=((left, at), (right, at)), colour="grid"))
        shapes.append(Words(x=left - 6, y=at + 4, text=label(tick), anchor="end"))
    for tick in across.ticks():
        at = across.at(tick)
        shapes.append(Path(points=((at, bottom), (at, bottom + 4)), colour="muted"))
        shapes.append(Words(x=at, y=bottom + 18, text=label(tick), anchor="middle"))
    middle = (left + right) / 2
    return [
        *shapes,
        Path(points=((left, bottom), (right, bottom)), colour="muted"),
        Words(x=middle, y=bottom + 36, text=x, anchor="middle"),
        Words(x=left, y=top - 10, text=y),
    ]
