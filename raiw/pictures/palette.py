"""Colours by what they stand for, light and dark.

Those of series are Okabe and Ito's, which colour-blind readers can tell apart; the dark ones are
lighter, so that each has a contrast of 3 : 1 or more with its surface.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Colour(NamedTuple):
    """A colour on a light surface and on a dark one, ``#rrggbb``."""

    light: str
    dark: str


COLOURS = {
    "surface": Colour("#ffffff", "#15181c"),
    "ink": Colour("#1b1f24", "#e6e9ee"),
    "muted": Colour("#57606a", "#a3adb8"),
    "grid": Colour("#dde1e6", "#33393f"),
    "mask": Colour("#0072b2", "#56b4e9"),
    "random": Colour("#c04d00", "#f08a4b"),
    "series-1": Colour("#0072b2", "#56b4e9"),
    "series-2": Colour("#c04d00", "#f08a4b"),
    "series-3": Colour("#008561", "#2cc79b"),
    "series-4": Colour("#b0578d", "#dd94bd"),
    "series-5": Colour("#a87900", "#e6b422"),
    "series-6": Colour("#5b5fc7", "#9a9df0"),
    "series-7": Colour("#6b6b6b", "#b5b5b5"),
}
"""Colours by name; a page sets ``--raiw-<name>``."""

MARKERS = ("circle", "square", "triangle", "diamond", "wedge")


class Look(NamedTuple):
    """How a series is drawn: never told apart by its colour alone."""

    colour: str
    marker: str


_LOOKS = {
    "raiw": Look("series-1", "circle"),
    "random": Look("series-2", "circle"),
    "regular": Look("series-3", "circle"),
    "expander": Look("series-4", "circle"),
    "magnitude": Look("series-5", "circle"),
    "balanced": Look("series-6", "circle"),
    "optimal": Look("series-7", "circle"),
    "greedy": Look("series-1", "square"),
    "greedy_min": Look("series-2", "square"),
    "radix": Look("series-3", "square"),
    "constant_fan_in": Look("series-4", "square"),
    "nm": Look("series-5", "square"),
    "transposable_nm": Look("series-6", "square"),
    "network": Look("series-7", "square"),
    "dense": Look("ink", "circle"),
    # Of a search: what proposed a trial, and what it found.
    "usual": Look("series-3", "square"),
    "drawn": Look("series-2", "circle"),
    "proposed": Look("series-5", "circle"),
    "front": Look("ink", "circle"),
    "found": Look("series-1", "diamond"),
}
_SERIES = 7
_OTHER = Look("muted", "square")
_OF_SCORES = MARKERS[2:]


def look_of(method: str) -> Look:
    """Return how a crafting method is drawn, in every picture alike.

    ``ALGORITHM:SCORE`` has the colour of the algorithm and a marker of the score's; ``METHOD g=N``,
    whose outputs share their inputs, has a colour of N and a marker of the method's.

    >>> look_of("raiw g=1"), look_of("raiw g=8")
    (Look(colour='series-1', marker='wedge'), Look(colour='series-4', marker='wedge'))
    >>> look_of("raiw"), look_of("raiw:snip")
    (Look(colour='series-1', marker='circle'), Look(colour='series-1', marker='diamond'))
    """
    unshared, _, shared = method.partition(" g=")
    if shared:
        place = (int(shared).bit_length() - 1) % _SERIES
        return Look(f"series-{1 + place}", MARKERS[len(unshared) % len(MARKERS)])
    algorithm, _, score = method.partition(":")
    look = _LOOKS.get(algorithm, _OTHER)
    return look._replace(marker=_OF_SCORES[sum(score.encode()) % 3]) if score else look


def look_at(place: int) -> Look:
    """Return the look of a series that is known by its place only: colours first, then markers.

    >>> look_at(0), look_at(7)
    (Look(colour='series-1', marker='circle'), Look(colour='series-1', marker='square'))
    """
    return Look(f"series-{1 + place % _SERIES}", MARKERS[place // _SERIES % len(MARKERS)])


Ramp = npt.NDArray[np.uint8]
"""``(levels, 4)`` red, green, blue and opacity."""

_LEVELS = 33
_MORE, _FEWER = (213, 94, 0), (0, 114, 178)
_EDGES = (26, 130, 200)


def _ramp(rgb: tuple[int, int, int], opacity: npt.NDArray[np.float64]) -> Ramp:
    ramp = np.empty((len(opacity), 4), np.uint8)
    ramp[:, :3], ramp[:, 3] = rgb, np.rint(255 * opacity)
    return ramp


DENSITY = _ramp(_EDGES, np.linspace(0, 1, _LEVELS) ** 0.75)
"""From no edge, which shows the surface, to the most; the few stand out from none."""
_HALF = np.linspace(0, 1, _LEVELS // 2 + 1)
DEVIATION = np.concatenate([_ramp(_FEWER, _HALF[:0:-1]), _ramp(_MORE, _HALF)])
"""From fewer edges than expected to more; the expected number shows the surface."""
