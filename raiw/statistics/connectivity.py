"""Connected components of a graph, counted on its packed rows."""

from raiw import kernels
from raiw.graphs import Graph


def components(graph: Graph) -> int:
    """Return the number of connected components; an unreached vertex is one of its own.

    This is the multiplicity of the eigenvalue 0 of the Laplacian, so the components that carry
    edges are ``components - unreached inputs - unreached outputs``. Costs a read of the packed
    rows, and a search for the roots of an edge's inputs until all inputs are joined.

    >>> import numpy as np
    >>> components(Graph.from_bool(np.eye(3, dtype=bool)))
    3
    """
    return kernels.count_components(graph.bits, graph.shape[1])
