"""How well a connected graph mixes: λ₂ of its Laplacian and the spectral gap.

The known eigenvector below the one sought is taken out of the operator, so that ARPACK finds the
sought one at the end of the spectrum.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from raiw.graphs import Floats, Graph
from raiw.statistics.matrix import edge_matrix

_TOLERANCE = 1e-9
_RESTARTS = 2000


def algebraic_connectivity(graph: Graph) -> float | None:
    """Return λ₂ of the Laplacian of a connected graph, or None if it is too near 0 to be found.

    Costs about a hundred products with the Laplacian, O(m) each, and 12 bytes per edge.
    """
    edges, out = edge_matrix(graph), graph.shape[0]
    degrees = np.concatenate([graph.out_degrees(), graph.in_degrees()]).astype(np.float64)
    bound = 2 * degrees.max()

    def shifted(x: Floats) -> Floats:
        y = (bound - degrees) * x
        y[:out] += edges @ x[out:]
        y[out:] += edges.T @ x[:out]
        deflated: Floats = y - bound * x.mean()
        return deflated

    largest = _largest_eigenvalue(shifted, len(degrees))
    return None if largest is None else float(bound - largest)


def spectral_gap(graph: Graph) -> float | None:
    """Return 1 - σ₂ of ``diag(a)^-½ B diag(b)^-½`` for a connected graph.

    ``a`` and ``b`` are the output and input degrees, ``B`` the ``(out, in)`` 0/1 matrix. This is
    the second eigenvalue of the normalised Laplacian: 1 for a complete graph, and at most about
    1 - (√(a-1) + √(b-1))/√(ab) for a large biregular one, which random graphs come close to. None
    where it is too near 0 to be found. Costs as :func:`algebraic_connectivity`.
    """
    if graph.edges == math.prod(graph.shape):
        return 1.0
    edges, a, b = edge_matrix(graph), graph.out_degrees(), graph.in_degrees()
    if len(a) < len(b):
        edges, a, b = edges.T.tocsr(), b, a
    by_row, by_column = 1.0 / a, 1.0 / np.sqrt(b)
    first = np.sqrt(b / b.sum())

    def deflated(x: Floats) -> Floats:
        y: Floats = by_column * (edges.T @ (by_row * (edges @ (by_column * x))))
        y -= first * (first @ x)
        return y

    square = _largest_eigenvalue(deflated, len(b))
    return None if square is None else 1.0 - math.sqrt(max(square, 0.0))


def _largest_eigenvalue(product: Callable[[Floats], Floats], order: int) -> float | None:
    operator = LinearOperator((order, order), matvec=product, dtype=np.float64)
    start = np.cos(np.arange(order))  # fixed, and without symmetry
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA",
            v0=start,
            tol=_TOLERANCE,
            maxiter=_RESTARTS,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence:
        return None
    return float(values[0])
