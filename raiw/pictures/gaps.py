"""The entropy of a layer below that of the dense layer of its shape."""

import numpy as np

from raiw.pictures.axes import Axis, frame
from raiw.pictures.drawing import Drawing, Mark, Path, Pixel, Shape, Words
from raiw.statistics.entropy import expected_gap

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 220, 62, 14, 46, 44
_POINTS = 48
_FULLEST = 0.9
"""Density at which the curves end: of a dense layer there is no gap to draw on this axis."""
_FEWEST = 2.0
"""Mean degree at which they begin, unless the mask has a smaller one."""


def entropy_gap(
    shape: tuple[int, int],
    edges: int,
    gap: float,
    *,
    groups: int = 1,
    error: float | None = None,
    width: float = 350,
) -> Drawing:
    """Draw a layer's entropy gap over its degree, with the curves of random and regular masks.

    Parameters
    ----------
    shape, groups
        Of the layer, ``(out, in/groups)``.
    edges, gap, error
        Of its mask: :attr:`raiw.statistics.LayerStatistics.entropy_gap`, in nats, and the standard
        error where it is an estimate.
    """
    rows, n_in = shape[0] // groups, shape[1]
    degree = edges / (groups * n_in)
    lines = {regular: _curve((rows, n_in), degree, regular=regular) for regular in (False, True)}
    drawable = [(degree, gap)] if edges and gap > 0 else []
    places = [*lines[False], *lines[True], *drawable] or [(1.0, 1.0)]
    across = Axis.over((x for x, _ in places), _LEFT, width - _RIGHT, logarithmic=True)
    up = Axis.over((y for _, y in places), _HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    shapes = frame(across, up, "mean degree of an input", "entropy below the dense layer, nats")
    for regular, places in (each for each in lines.items() if each[1]):
        points = [(across.at(x), up.at(y)) for x, y in places]
        shapes.append(
            Path(
                points=points,
                colour="random" if not regular else "muted",
                width=1.6,
                dashed=regular,
            )
        )
    says = f"degree {degree:.4g}, gap {gap:.4g} nats" + (f" ± {error:.1g}" if error else "")
    shapes += [
        Mark(x=across.at(x), y=up.at(y), colour="mask", size=5, says=says) for x, y in drawable
    ]
    return Drawing(
        width=width,
        height=_HEIGHT,
        title="Entropy gap to the dense layer",
        description=_description(shape, edges, gap, groups, says),
        shapes=(*shapes, *_key(_LEFT, 12)),
    )


def share_of_random(
    shape: tuple[int, int], edges: int, gap: float, groups: int = 1
) -> float | None:
    """Return a gap over that expected of a random mask; None where there is none to expect."""
    one = (shape[0] // groups, shape[1])
    expected = expected_gap(one, edges / groups, regular=False) if edges else 0.0
    return gap / expected if expected > 0 else None


def _curve(shape: tuple[int, int], degree: float, *, regular: bool) -> list[Pixel]:
    out, n_in = shape
    low, high = min(_FEWEST, degree or _FEWEST), _FULLEST * out
    if low >= high:
        return []
    degrees = np.geomspace(low, high, _POINTS)
    return [(float(d), expected_gap(shape, float(d) * n_in, regular=regular)) for d in degrees]


def _description(shape: tuple[int, int], edges: int, gap: float, groups: int, says: str) -> str:
    share = share_of_random(shape, edges, gap, groups)
    if share is None:
        return f"The mask has {says}; a random mask of this density has none to speak of."
    return f"The mask has {says}: {100 * share:.0f} % of that expected of a random mask."


def _key(x: float, y: float) -> list[Shape]:
    return [
        Mark(x=x + 5, y=y - 4, colour="mask", size=5),
        Words(x=x + 16, y=y, text="this mask"),
        Path(points=((x + 84, y - 4), (x + 98, y - 4)), colour="random", width=2),
        Words(x=x + 103, y=y, text="random"),
        Path(points=((x + 156, y - 4), (x + 172, y - 4)), colour="muted", width=2, dashed=True),
        Words(x=x + 177, y=y, text="random regular"),
    ]
