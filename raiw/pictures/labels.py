"""Texts beside points, moved to where they cover no other."""

from collections.abc import Iterable

from raiw.pictures.drawing import FONT_SIZE, Anchor, Pixel, Words, text_width

_ASIDE, _LOWER, _ABOVE, _BELOW = 9, 4, -9, 18
_PLACES: tuple[tuple[Anchor, float, float], ...] = (
    ("start", _ASIDE, _LOWER),
    ("end", -_ASIDE, _LOWER),
    ("middle", 0, _ABOVE),
    ("middle", 0, _BELOW),
    ("start", _ASIDE, _ABOVE),
    ("end", -_ASIDE, _ABOVE),
    ("start", _ASIDE, _BELOW),
    ("end", -_ASIDE, _BELOW),
)
"""Where a text may stand, best first."""

Area = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def beside(points: Iterable[tuple[Pixel, str]], left: float, right: float) -> list[Words]:
    """Return each point's text where it covers no point and no other text, if it can.

    Texts stay between ``left`` and ``right`` pixels. Those that come first choose first.
    """
    wanted = list(points)
    taken: list[Area] = [(x - 5, y - 5, x + 5, y + 5) for (x, y), _ in wanted]
    found = []
    for place, ((x, y), text) in enumerate(wanted):
        others = taken[:place] + taken[place + 1 :]
        tried = [
            Words(x=x + aside, y=y + lower, text=text, colour="ink", anchor=anchor)
            for anchor, aside, lower in _PLACES
        ]
        found.append(min(tried, key=lambda words: _cost(area(words), others, left, right)))
        taken.append(area(found[-1]))
    return found


def _cost(one: Area, others: list[Area], left: float, right: float) -> tuple[bool, int]:
    """Return whether a text leaves the picture, and how many others it covers."""
    return not left <= one[0] <= one[2] <= right, sum(_overlap(one, other) for other in others)


def area(words: Words) -> Area:
    """Return about where a text is."""
    width = text_width(words.text, words.size)
    start = words.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[words.anchor] * width
    return (start, words.y - 0.8 * FONT_SIZE, start + width, words.y + 0.2 * FONT_SIZE)


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
