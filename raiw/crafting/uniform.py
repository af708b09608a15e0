"""Uniform draws: sets of edges, rows that share edges evenly, tables of random numbers."""

import numpy as np
import numpy.typing as npt

from raiw import kernels
from raiw.crafting.degrees import share
from raiw.crafting.randomness import Stream
from raiw.graphs import Bits


def draw(shape: tuple[int, int], edges: int, key: int) -> Bits:
    """Return the packed rows of a uniformly random set of ``edges`` cells."""
    out, n_in = shape
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    left_out = out * n_in - edges
    kernels.uniform(bits, n_in, min(edges, left_out), key)
    if left_out < edges:
        bits ^= np.packbits(np.ones(n_in, np.bool_), bitorder="little")
    return bits


def draw_rows(shape: tuple[int, int], edges: int, stream: Stream) -> Bits:
    """Return the packed rows of a table whose rows share ``edges`` cells evenly.

    Every row draws its cells uniformly and independently; the rows that get one more are drawn
    uniformly too.
    """
    rows, columns = shape
    floor, spare = share(edges, rows)
    (more,) = np.unpackbits(draw((1, rows), spare, stream.part(rows)), axis=1, bitorder="little")
    counts = floor + more[:rows].astype(np.int64)
    return np.concatenate(
        [draw((1, columns), int(counts[row]), stream.part(row)) for row in range(rows)]
    )


def table(shape: tuple[int, int], stream: Stream) -> npt.NDArray[np.float64]:
    """Return independent random numbers in [0, 1), multiples of 2⁻⁵³, of numpy's Philox4x64-10."""
    words = np.random.Philox(key=stream.key).random_raw(shape[0] * shape[1])
    numbers = np.empty(shape, np.float64)
    np.multiply(words >> np.uint64(11), 2.0**-53, out=numbers.reshape(-1))
    return numbers
