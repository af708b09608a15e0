"""What can be left of a budget after edges of each cost were added or removed."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MOST_STATES = 1 << 17
_MOST_REST = 1 << 62


class Rests:
    """The different rests of a budget, and how each came about.

    >>> rests = Rests(7)
    >>> rests.spend(4, [0, -1, 1]), rests.met_by(3, -5, 5)
    (True, [1, 1])
    """

    def __init__(self, left: int) -> None:
        self._rests = np.array([left if abs(left) < _MOST_REST else 0], np.int64)
        self._farthest = abs(left)
        self._choices: list[tuple[Sequence[int], npt.NDArray[np.int32]]] = []

    def spend(self, cost: int, steps: Sequence[int]) -> bool:
        """Add every number of ``steps`` edges to every rest; of equal rests the first stays.

        Returns False, and changes nothing, where there would be too many rests, or too large ones.
        """
        self._farthest += cost * max(map(abs, steps))
        if len(self._rests) * len(steps) > _MOST_STATES or self._farthest >= _MOST_REST:
            return False
        spent = cost * np.array(steps, np.int64)
        rests = (self._rests[:, np.newaxis] - spent).reshape(-1)
        order = np.argsort(rests, kind="stable")
        ends = np.flatnonzero(np.diff(rests[order], append=0) | _last_place(len(rests)))
        starts = np.concatenate([[0], ends[:-1] + 1])
        latest = np.argsort(-order[ends])
        self._choices.append((steps, order[starts][latest].astype(np.int32)))
        self._rests = rests[order[ends][latest]]
        return True

    def met_by(self, cost: int, fewest: int, most: int) -> list[int] | None:
        """Return the edges of every cost, and how many of a further one leave nothing.

        Where several do, those are taken that need the fewest of it.
        """
        edges = self._rests // cost
        fitting = (edges * cost == self._rests) & (fewest <= edges) & (edges <= most)
        places = np.flatnonzero(fitting)
        if not len(places):
            return None
        _, _, place = min((abs(r := int(self._rests[p])), r, int(p)) for p in places)
        found = [int(edges[place])]
        for steps, picked in reversed(self._choices):
            place, step = divmod(int(picked[place]), len(steps))
            found.append(steps[step])
        return found[::-1]


def _last_place(count: int) -> npt.NDArray[np.bool_]:
    last = np.zeros(count, np.bool_)
    last[-1] = True
    return last
