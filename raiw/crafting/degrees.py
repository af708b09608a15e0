"""The degree contract: exactly m' edges, and every degree the floor or ceiling of its side's mean.

A side of ``n`` vertices shares ``m'`` edges as ``m' = n·floor + spare``: exactly ``spare`` of its
vertices have degree ``floor + 1``, the others ``floor``. While a graph grows, ``spare`` tokens lie
on the side; a vertex takes one to go above the floor. Capping the degrees at the ceiling alone
would not do: it leaves some vertices far below the floor, even isolated.

Such a graph exists for every shape and every ``0 <= m' <= n_out·n_in`` (Gale-Ryser).
"""

from typing import NamedTuple

import numpy as np

from raiw.graphs import Degrees
from raiw.specs.contracts import degree_range


class SideShare(NamedTuple):
    """How one side shares the edges."""

    floor: int
    """Smallest degree."""
    spare: int
    """Vertices whose degree is ``floor + 1``."""


def share(edges: int, vertices: int) -> SideShare:
    """Share ``edges`` among the vertices of a side.

    >>> share(10, 4)
    SideShare(floor=2, spare=2)
    """
    return SideShare(*divmod(edges, vertices))


def may_take(degrees: Degrees, side: SideShare) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which vertices of a side may take one more edge."""
    tokens = side.spare - int((degrees > side.floor).sum())
    return degrees < side.floor + (tokens > 0)


def even(degrees: Degrees) -> bool:
    """Tell whether every degree of a side is the floor or the ceiling of their mean.

    >>> even(np.array([2, 3, 3])), even(np.array([2, 2, 4])), even(np.array([0, 2, 2]))
    (True, False, False)
    """
    fewest, most = degree_range(int(degrees.sum()), len(degrees), 0, even=True)
    return int(degrees.min()) >= fewest and int(degrees.max()) <= most
