"""A histogram of a mask beside what a random mask is expected to have."""

import numpy as np

from raiw.graphs import Degrees, Floats
from raiw.pictures.axes import Axis, frame, label
from raiw.pictures.drawing import Box, Drawing, Path, Shape, Words, text_width

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 220, 52, 10, 46, 44
_MOST_BARS = 48


def histogram(  # noqa: PLR0913 -- four of them are words
    edges: Floats,
    counts: Degrees,
    expected: Floats,
    *,
    x: str,
    y: str,
    width: float,
    title: str,
    description: str,
) -> Drawing:
    """Draw ``counts`` between ``edges`` as bars and the expected ones as a line.

    Neighbours are put together where there are more bars than can be told apart.
    """
    together = -(-len(counts) // _MOST_BARS)
    starts = np.arange(0, len(counts), together)
    edges = np.append(edges[starts], edges[-1])
    counts, expected = np.add.reduceat(counts, starts), np.add.reduceat(expected, starts)
    across = Axis.over((edges[0], edges[-1]), _LEFT, width - _RIGHT, margin=0.02)
    up = Axis(0, 1.05 * max(counts.max(), expected.max(), 1), _HEIGHT - _BOTTOM, _TOP)
    gap = 1 if len(counts) > 1 else 0
    bars: list[Shape] = [
        Box(
            x=across.at(low) + gap / 2,
            y=up.at(count),
            width=max(across.at(high) - across.at(low) - gap, 1),
            height=up.start - up.at(count),
            colour="mask",
            says=f"{_span(low, high)}: {count:,} {y}, {expect:,.1f} expected",
        )
        for low, high, count, expect in zip(edges, edges[1:], counts, expected, strict=False)
        if count
    ]
    steps = [
        (across.at(at), up.at(value))
        for low, high, value in zip(edges, edges[1:], expected, strict=False)
        for at in (low, high)
    ]
    return Drawing(
        width=width,
        height=_HEIGHT,
        title=title,
        description=description,
        shapes=(
            *frame(across, up, x, y),
            *bars,
            Path(points=steps, colour="random", width=1.6),
            *key(_LEFT, 12),
        ),
    )


def key(x: float, y: float) -> list[Shape]:
    """Return which colour is the mask and which a random one."""
    after = x + 18 + text_width("this mask") + 12
    return [
        Box(x=x, y=y - 9, width=12, height=10, colour="mask"),
        Words(x=x + 18, y=y, text="this mask"),
        Path(points=((after, y - 4), (after + 14, y - 4)), colour="random", width=2),
        Words(x=after + 20, y=y, text="random mask"),
    ]


def _span(low: float, high: float) -> str:
    if high - low == 1:
        return label(low + 0.5)
    return (
        f"{label(round(low + 0.5, 3))} to {label(round(high - 0.5, 3))}"
        if low % 1
        else (f"{low:.3g} to {high:.3g}")
    )
