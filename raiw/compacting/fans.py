"""Which inputs the outputs of a masked layer read, and which outputs read the same."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raiw.graphs import Bools, Indices

Starts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Fans:
    """The inputs of every group of ``shared`` consecutive outputs, in CSR form.

    Inputs are counted over all groups of a grouped convolution.
    """

    shared: int
    starts: Starts
    channels: Indices

    @property
    def sizes(self) -> Starts:
        """How many inputs each group of outputs reads."""
        return np.diff(self.starts)

    @property
    def edges(self) -> int:
        """Edges of all outputs."""
        return len(self.channels) * self.shared


def sharing(kept: Bools, groups: int) -> int:
    """Return how many consecutive outputs always read the same inputs in an ``(out, in)`` mask.

    >>> sharing(np.repeat(np.eye(2, dtype=bool), 6, axis=0), 1)
    6
    """
    outputs = len(kept) // groups
    changes = np.flatnonzero((kept[1:] != kept[:-1]).any(axis=1)) + 1
    return math.gcd(outputs, *changes.tolist())


def fans_of(kept: Bools, groups: int, shared: int) -> Fans:
    """Return the fans of an ``(out, in/groups)`` mask; ``shared`` divides :func:`sharing`."""
    rows, inputs = kept[::shared].nonzero()
    per_group = len(kept) // shared // groups
    starts = np.zeros(len(kept) // shared + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(starts) - 1), out=starts[1:])
    channels = inputs + rows // per_group * kept.shape[1]
    return Fans(shared, starts, channels.astype(np.int32))
