"""A scatter chart as SVG text, the same on every machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 20, 50
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a series, with the words that stand beside it when it is pointed at."""

    x: float
    y: float
    series: str
    label: str


def scatter(points: Sequence[Point], *, x: str, y: str) -> str:
    """Return a chart of points, x on a logarithmic axis."""
    horizontal = _Axis.over(
        [math.log10(max(point.x, 1)) for point in points], _LEFT, _WIDTH - _RIGHT
    )
    vertical = _Axis.over([point.y for point in points], _HEIGHT - _BOTTOM, _TOP)
    series = list(dict.fromkeys(point.series for point in points))
    body = [*_frame(horizontal, vertical, x, y)]
    for point in points:
        colour = _COLOURS[series.index(point.series) % len(_COLOURS)]
        at_x, at_y = horizontal.at(math.log10(max(point.x, 1))), vertical.at(point.y)
        words = escape(f"{point.series}, {point.label}: {point.x:g}, {point.y:.4f}")
        body.append(
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}" fill-opacity="0.75">'
            f"<title>{words}</title></circle>"
        )
    for place, name in enumerate(series):
        colour, at_y = _COLOURS[place % len(_COLOURS)], _TOP + 12 + 20 * place
        left = _WIDTH - _RIGHT + 16
        body.append(f'<circle cx="{left}" cy="{at_y - 4}" r="5" fill="{colour}"/>')
        body.append(f'<text x="{left + 12}" y="{at_y}">{escape(name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
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
        return [self.low + (self.high - self.low) * part / 5 for part in range(6)]


def _frame(horizontal: _Axis, vertical: _Axis, x: str, y: str) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = []
    for tick in horizontal.ticks():
        at = horizontal.at(tick)
        lines.append(f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{bottom}" stroke="#eee"/>')
        lines.append(
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{10**tick:,.0f}</text>'
        )
    for tick in vertical.ticks():
        at = vertical.at(tick)
        lines.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#eee"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    middle = (_LEFT + right) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x)}</text>')
    turned = f'transform="rotate(-90 16 {(_TOP + bottom) / 2})"'
    lines.append(
        f'<text x="16" y="{(_TOP + bottom) / 2}" text-anchor="middle" {turned}>{escape(y)}</text>'
    )
    return lines
