"""Algorithm ``random``: edges drawn uniformly, degrees left to chance.

Source: Dong et al., IJCAI 2019, the random baseline of Figure 1a.
"""

import numpy as np
import numpy.typing as npt

from raiw.crafting import Built, kernels
from raiw.crafting.degrees import share
from raiw.crafting.randomness import Stream
from raiw.crafting.scores import Scores
from raiw.graphs import Bits, Graph


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a graph with a uniformly random set of ``edges`` edges; O(edges).

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, 0 to ``out·in``.
    scores
        Ignored.
    stream
        What is drawn comes from it alone.

    Returns
    -------
    Built
        The graph.
    """
    return Built(Graph(shape, draw(shape, edges, stream.key)))


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

    Every row draws its cells uniformly, independent of the others, and so are the rows drawn that
    have one more.
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
