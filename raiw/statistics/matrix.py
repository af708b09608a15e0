"""The edges of a graph as a sparse matrix."""

import numpy as np
from scipy.sparse import csr_array

from raiw.graphs import Graph


def edge_matrix(graph: Graph) -> csr_array:
    """Return the ``(out, in)`` 0/1 matrix in float64; 12 bytes per edge."""
    indptr, indices = graph.adjacency()
    return csr_array((np.ones(len(indices)), indices, indptr), shape=graph.shape)
