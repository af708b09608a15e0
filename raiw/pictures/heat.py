"""A table of shares as a picture: the darker a square, the larger its share."""

import numpy as np

from raiw.graphs import Floats
from raiw.pictures.axes import Axis, frame
from raiw.pictures.drawing import Bitmap, Box, Drawing, Words
from raiw.pictures.palette import DENSITY

_LEFT, _TOP, _KEY, _BOTTOM = 52, 36, 100, 74


def heat_map(  # noqa: PLR0913 -- five of them are words
    shares: Floats,
    first: tuple[int, int],
    *,
    x: str,
    y: str,
    unit: str,
    title: str,
    description: str,
    width: float = 350,
) -> Drawing:
    """Draw shares from 0 to 1 over two whole numbers.

    Parameters
    ----------
    shares
        ``(rows, columns)``, the first row at the bottom; NaN where there is none.
    first
        The numbers of the first row and of the first column.
    x, y
        What the numbers are.
    unit
        What the shares are of.
    """
    rows, columns = shares.shape
    low_y, low_x = first
    room = width - _LEFT - 1
    high = room * rows / columns
    across = Axis(low_x - 0.5, low_x + columns - 0.5, _LEFT, _LEFT + room, whole=True)
    up = Axis(low_y - 0.5, low_y + rows - 0.5, _TOP + high, _TOP, whole=True)
    levels = np.rint(np.nan_to_num(shares) * (len(DENSITY) - 1)).astype(np.uint8)
    steps = np.arange(len(DENSITY), dtype=np.uint8)[None, :]
    foot = _TOP + high + 50
    return Drawing(
        width=width,
        height=_TOP + high + _BOTTOM,
        title=title,
        description=description,
        shapes=(
            *frame(across, up, x, y),
            Box(x=_LEFT, y=_TOP, width=room, height=high, colour="surface"),
            Bitmap(x=_LEFT, y=_TOP, width=room, height=high, levels=levels[::-1], ramp=DENSITY),
            Words(x=_LEFT + 24, y=foot + 9, text="0 %", anchor="end"),
            Bitmap(x=_LEFT + 30, y=foot, width=_KEY, height=10, levels=steps, ramp=DENSITY),
            Box(x=_LEFT + 30, y=foot, width=_KEY, height=10, colour="grid", filled=False),
            Words(x=_LEFT + 36 + _KEY, y=foot + 9, text=f"100 % {unit}"),
        ),
    )
