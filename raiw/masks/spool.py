"""Masks that lie in a file instead of in memory."""

import mmap
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np

from raiw.files import room_for
from raiw.graphs import Graph
from raiw.masks.mask import Mask

LEAST_BYTES = 1 << 20
"""Smaller masks stay in memory: a mapping would cost more than it saves."""


class Spool:
    """A file without a name, in a folder that has room for it; it goes with the last of its masks.

    Its pages are mapped: the system may take them from memory and read them again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._end = 0

    @cached_property
    def _file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder, prefix=".raiw-")

    def keep(self, mask: Mask) -> Mask:
        """Return the mask with its bits in the file.

        Raises
        ------
        DiskFull
            There is no room.
        """
        bits = mask.packed
        if bits.nbytes < LEAST_BYTES:
            return mask
        start, self._end = self._end, self._end + _in_pages(bits.nbytes)
        with room_for(self._folder):
            self._file.seek(start)
            self._file.write(np.ascontiguousarray(bits).data)
            self._file.truncate(self._end)
        data = mmap.mmap(self._file.fileno(), bits.nbytes, access=mmap.ACCESS_READ, offset=start)
        mapped = np.frombuffer(data, np.uint8).reshape(bits.shape)
        return replace(mask, graph=Graph(mask.shape, mapped))


def _in_pages(size: int) -> int:
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
