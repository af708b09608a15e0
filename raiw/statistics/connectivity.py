"""Connected components of a graph, counted on its packed rows."""

import numpy as np

from raiw import kernels
from raiw.graphs import Graph


def components(graph: Graph) -> int:
    """Return the number of connected components; an unreached vertex is one of its own.

    This is the multiplicity of the eigenvalue 0 of the Laplacian, so the components that carry
    edges are ``components - unreached inputs - unreached outputs``. The component of the first
    output costs a few reads of the packed rows, and settles a connected layer; whatever is left
    over, or is joined by long paths only, is searched edge by edge.

    >>> components(Graph.from_bool(np.eye(3, dtype=bool)))
    3
    """
    n_in = graph.shape[1]
    outputs, inputs = np.empty(len(graph.bits), np.bool_), np.empty(graph.bits.shape[1], np.uint8)
    if not kernels.join_first(graph.bits, outputs, inputs):
        return _count_by_edges(graph)
    joined = int(np.bitwise_count(inputs).sum())
    if outputs.all():
        return 1 + n_in - joined
    rest = graph.bits[~outputs]
    return 1 + _count_by_edges(Graph((len(rest), n_in), rest)) - joined


def _count_by_edges(graph: Graph) -> int:
    from scipy.sparse import csr_array  # loaded only for a disconnected layer
    from scipy.sparse.csgraph import connected_components

    out, n_in = graph.shape
    indptr, indices = graph.adjacency()
    ends = np.concatenate([indptr, np.full(n_in, indptr[-1])])
    joins = csr_array(
        (np.ones(len(indices), np.int8), indices + out, ends), shape=(out + n_in, out + n_in)
    )
    count, _ = connected_components(joins, connection="weak")
    return count
