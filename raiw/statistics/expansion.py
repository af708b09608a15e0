"""How well a connected graph mixes: its spectral gap."""

import math

import numpy as np

from raiw.graphs import Graph


def spectral_gap(graph: Graph) -> float:
    """Return 1 - σ₂ of ``diag(a)^-½ B diag(b)^-½`` for a connected graph.

    ``a`` and ``b`` are the output and input degrees, ``B`` the ``(out, in)`` 0/1 matrix. This is
    the second eigenvalue of the normalised Laplacian: 1 for a complete graph, and at most about
    1 - (√(a-1) + √(b-1))/√(ab) for a large biregular one, which random graphs come close to.
    """
    a, b = graph.out_degrees(), graph.in_degrees()
    if graph.edges == math.prod(graph.shape):
        return 1.0
    normal = graph.to_bool() / np.sqrt(np.outer(a, b))
    if len(a) < len(b):
        normal = normal.T
    return 1.0 - math.sqrt(np.linalg.eigvalsh(normal.T @ normal)[-2])
