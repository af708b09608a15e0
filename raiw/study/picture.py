"""A scatter chart as SVG text, the same on every machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 20, 50
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""
_FEWEST_TICKS = 3
_APART = 5
"""Between joined series at the same place."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a series, with the words shown when it is pointed at."""

    x: float
    y: float
    series: str
    label: str
    error: float = 0.0
    """Half the height of its error bar."""


def scatter(points: Sequence[Point], *, x: str, y: str, joined: bool = False) -> str:
    """Return a chart of points, x on a logarithmic axis.

    ``joined`` draws a line through each series, and moves the series a little apart, so that error
    bars at the same place can be told apart.
    """
    horizontal = _Axis.over(
        [math.log10(max(point.x, 1)) for point in points], _LEFT, _WIDTH - _RIGHT
    )
    ends = [point.y + side * point.error for point in points for side in (-1, 1)]
    vertical = _Axis.over(ends, _HEIGHT - _BOTTOM, _TOP)
    body = [*_frame(horizontal, vertical, x, y)]
    series = list(dict.fromkeys(point.series for point in points))
    for place, name in enumerate(series):
        colour, shift = _COLOURS[place % len(_COLOURS)], _APART * (place - (len(series) - 1) / 2)
        own = [point for point in points if point.series == name]
        columns = [horizontal.at(math.log10(max(p.x, 1))) + (shift if joined else 0) for p in own]
        if joined:
            places = zip(columns, (vertical.at(point.y) for point in own), strict=True)
            path = " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in places)
            body.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        for at_x, point in zip(columns, own, strict=True):
            body += _point(point, at_x, vertical, colour)
        body += _legend(place, name, colour)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _point(point: Point, at_x: float, vertical: "_Axis", colour: str) -> list[str]:
    words = escape(f"{point.series}, {point.label}: {point.x:g}, {point.y:.4f}")
    circle = (
        f'<circle cx="{at_x:.1f}" cy="{vertical.at(point.y):.1f}" r="4" fill="{colour}" '
        f'fill-opacity="0.75"><title>{words}</title></circle>'
    )
    if not point.error:
        return [circle]
    low, high = (vertical.at(point.y + side * point.error) for side in (-1, 1))
    return [_stroke((at_x, low), (at_x, high), colour), circle]


def _legend(place: int, name: str, colour: str) -> list[str]:
    left, at_y = _WIDTH - _RIGHT + 16, _TOP + 12 + 20 * place
    return [
        f'<circle cx="{left}" cy="{at_y - 4}" r="5" fill="{colour}"/>',
        f'<text x="{left + 12}" y="{at_y}">{escape(name)}</text>',
    ]


def _stroke(start: tuple[float, float], stop: tuple[float, float], colour: str) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{stop[0]:.1f}" y2="{stop[1]:.1f}" '
        f'stroke="{colour}"/>'
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float) -> "_Axis":
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = 0.05 * (high - low) or 0.5
        return cls(low - margin, high + margin, start, stop)

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers, 1, 2 or 5 times a power of ten apart; at most seven."""
        rough = (self.high - self.low) / 7
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step for step in (1, 2, 5, 10) if step * power >= rough) * power
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]

    def decades(self) -> list[float]:
        """Return logarithms: of 1, 2 and 5 times powers of ten; of more digits if these are few."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        logs = [(power + math.log10(first), first) for power in powers for first in range(1, 10)]
        inside = [(log, first) for log, first in logs if self.low <= log <= self.high]
        few = [log for log, first in inside if first in {1, 2, 5}]
        return few if len(few) >= _FEWEST_TICKS else [log for log, _ in inside] or self.ticks()


def _frame(horizontal: _Axis, vertical: _Axis, x: str, y: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = []
    for tick in horizontal.decades():
        at = horizontal.at(tick)
        lines.append(_stroke((at, _TOP), (at, bottom), "#eee"))
        lines.append(
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{10**tick:,.0f}</text>'
        )
    for tick in vertical.ticks():
        at = vertical.at(tick)
        lines.append(_stroke((_LEFT, at), (right, at), "#eee"))
        lines.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.10g}</text>')
    middle = (_LEFT + right) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x)}</text>')
    turned = f'transform="rotate(-90 16 {(_TOP + bottom) / 2})"'
    lines.append(
        f'<text x="16" y="{(_TOP + bottom) / 2}" text-anchor="middle" {turned}>{escape(y)}</text>'
    )
    return lines
