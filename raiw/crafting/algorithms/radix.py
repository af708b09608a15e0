"""Algorithm ``radix``: cyclic shifts of mixed radix, blown up to the widths of the layer.

A RadiX-Net of the radices ``r_1 … r_k`` with product ``N`` joins vertex ``i`` of layer ``l`` to the
vertices ``i + a·ν_l mod N``, ``a < r_l``, with the place value ``ν_l = r_1 … r_(l-1)``; the
Kronecker product with ones makes the layer wide. All pairs of first and last vertices are then
joined by the same number of paths.

Here ``N`` is the greatest common divisor of the layer's sides. A density of ``1/q`` makes the radix
``r = N/q``, and consecutive layers take the place values ``1, r, r², …`` as long as they divide
``q``, then ``q``.

Source: Kepner and Robinett, RadiX-Net: Structured Sparse Matrices for Deep Neural Networks, IPDPSW
2019.
"""

import math

import numpy as np

from raiw.crafting.built import Built
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.kernels.cells import Scores


def build(
    shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream, position: int
) -> Built:
    """Build the graph of the layer at ``position``; costs one byte a cell.

    Parameters
    ----------
    shape
        ``(out, in)`` vertices.
    edges
        Edges of the graph, ``out·in/q`` for a common divisor q of both sides.
    scores
        Ignored.
    stream
        Ignored: nothing is drawn.
    position
        Place of the layer among those of the network, from 0.

    Returns
    -------
    Built
        The graph.
    """
    out, n_in = shape
    period = math.gcd(out, n_in)
    inverse = out * n_in // edges
    radix = period // inverse
    values = place_values(radix, inverse)
    shifts = np.arange(radix) * values[position % len(values)]
    ins = np.arange(period)
    core = np.zeros((period, period), np.bool_)
    core[(ins[:, np.newaxis] + shifts) % period, ins[:, np.newaxis]] = True
    return Built(Graph.from_bool(core.repeat(out // period, axis=0).repeat(n_in // period, axis=1)))


def place_values(radix: int, inverse: int) -> list[int]:
    """Return the place values that consecutive layers of density ``1/inverse`` take in turn.

    >>> place_values(8, 64), place_values(16, 32), place_values(3, 8)
    ([1, 8, 64], [1, 16, 32], [1, 8])
    """
    if radix == 1:
        return [1]
    values = [1]
    while values[-1] * radix < inverse and inverse % (values[-1] * radix) == 0:
        values.append(values[-1] * radix)
    return [*values, inverse]
