"""Algorithm ``transposable_nm``: N of each M consecutive inputs, and of each M consecutive outputs.

The pattern of the weight's transpose is then N:M as well, so that the backward pass can use it. In
every M × M block the pattern of largest score is found exactly, as a transportation problem, for
scores rounded to 2⁻⁴⁰ of the block's largest. Of equally good patterns the one is taken that keeps
the first cell in which two differ, row by row. Without scores, random ones are used.

Source: Hubara et al., Accelerated Sparse Neural Training: A Provable and Efficient Method to Find
N:M Transposable Masks, NeurIPS 2021.
"""

import numpy as np

from raiw import kernels
from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.crafting.selection import require_allowed
from raiw.crafting.uniform import table
from raiw.graphs import Graph
from raiw.kernels.cells import Scores, as_native, as_wide, cells


def build(
    shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream, m: int
) -> Built:
    """Build the graph of N = ``edges·m/cells``; about a microsecond per block of M = 8.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, ``out·in·N/m``.
    scores
        ``(out, in)`` scores in any unit, of float16, bfloat16, float32 or float64; higher is kept
        first, -inf never. None to draw at random.
    stream
        What is drawn without scores comes from it alone.
    m
        Consecutive inputs that share N edges; divides both sides; at most 32.

    Returns
    -------
    Built
        The graph.

    Raises
    ------
    Infeasible
        A block has no pattern without an edge scored -inf.
    """
    out, n_in = shape
    values = table(shape, stream) if scores is None else as_native(scores)
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    forbidden = kernels.transposable(cells(values), bits, m, edges * m // (out * n_in))
    graph = Graph(shape, bits)
    if forbidden:
        require_allowed(graph.to_bool(), as_wide(values))
    return Built(graph)
