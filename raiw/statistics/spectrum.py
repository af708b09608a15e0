"""Exact eigenvalues of the Laplacian of a bipartite graph.

With output degrees ``a``, input degrees ``b`` and the ``(out, in)`` 0/1 matrix ``B``,

    L = [[diag(a), -B], [-Bᵀ, diag(b)]].

An unreached vertex is a zero eigenvalue and is dropped first. Then the cheapest form that is still
exact is taken:

closed form
    a matching, or a complete graph.
Gram matrix
    All outputs have degree a and all inputs degree b. Every singular value s of B gives the pair
    (a+b)/2 ± √(((a-b)/2)² + s²), and the larger side's degree is left ``|out - in|`` times. Only
    the Gram matrix of the smaller side is decomposed; the small root is taken as
    (ab - s²)/(large root), which does not cancel. Where a = b, an s of 0 comes out as √ε, and its
    pair a ± √ε is symmetric: an entropy is off by ε only.
compression
    k > in outputs share the degree a. A QR factorisation of their rows of B is an orthogonal
    change of basis that leaves a·I as it is: k rows become ``in``, and a is an eigenvalue
    k - in times. The same with the sides exchanged.
full
    otherwise all of L.
"""

import numpy as np

from raiw.graphs import Bools, Degrees, Floats, Graph


def laplacian_spectrum(graph: Graph) -> Floats:
    """Return the ``out + in`` eigenvalues of the Laplacian, ascending, zeros exact.

    Costs O(k³) time and O(k²) memory for ``k = eigenproblem_order(graph)``, and the unpacked graph.

    >>> laplacian_spectrum(Graph.from_bool(np.ones((1, 2), bool))).tolist()
    [0.0, 1.0, 3.0]
    """
    a, b = graph.out_degrees(), graph.in_degrees()
    kept = graph.to_bool()[a > 0][:, b > 0]
    a, b = a[a > 0], b[b > 0]
    reached = _reached_spectrum(kept, a, b) if len(a) >= len(b) else _reached_spectrum(kept.T, b, a)
    spectrum = np.zeros(sum(graph.shape))
    spectrum[: len(reached)] = np.maximum(reached, 0.0)
    spectrum.sort()
    return spectrum


def singular_values(graph: Graph) -> Floats:
    """Return the ``min(out, in)`` singular values of the 0/1 matrix, descending.

    They come from its smaller Gram matrix, exact integers: O(k³) time for k = min(out, in), and a
    value of 0 comes out as the root of the rounding, some 1e-7.

    >>> singular_values(Graph.from_bool(np.ones((4, 9), bool))).round(6).tolist()
    [6.0, 0.0, 0.0, 0.0]
    """
    kept = graph.to_bool()
    edges = (kept if kept.shape[0] >= kept.shape[1] else kept.T).astype(np.float32)
    squares = np.linalg.eigvalsh((edges.T @ edges).astype(np.float64))
    found: Floats = np.sqrt(np.maximum(squares[::-1], 0.0))
    return found


def eigenproblem_order(out_degrees: Degrees, in_degrees: Degrees) -> int:
    """Return the order of the matrix whose eigenvalues are needed; 0 for a closed form."""
    rows, columns = sorted(
        (out_degrees[out_degrees > 0], in_degrees[in_degrees > 0]), key=len, reverse=True
    )
    if _closed_form(rows, columns):
        return 0
    if _constant(rows) and _constant(columns):
        return len(columns)
    shared = np.unique(rows, return_counts=True)[1]
    return int(np.minimum(shared, len(columns)).sum()) + len(columns)


def _closed_form(rows: Degrees, columns: Degrees) -> bool:
    """Whether the graph is empty, complete or a matching; every degree given is positive."""
    edges = int(rows.sum())
    return edges == len(rows) * len(columns) or edges == len(rows) == len(columns)


def _constant(degrees: Degrees) -> bool:
    return bool(degrees[0] == degrees.min() == degrees.max())


def _reached_spectrum(kept: Bools, a: Degrees, b: Degrees) -> Floats:
    """Return the eigenvalues for ``(rows, columns)`` edges of positive degrees, rows ≥ columns."""
    rows, columns = kept.shape
    if _closed_form(a, b):
        if columns == 0:
            return np.zeros(0)
        if a[0] == columns:
            copies = [1, rows - 1, columns - 1, 1]
            return np.repeat(np.array([0.0, columns, rows, rows + columns]), copies)
        return np.repeat([0.0, 2.0], rows)
    if _constant(a) and _constant(b):
        return _gram_spectrum(kept, int(a[0]), int(b[0]))
    return _compressed_spectrum(kept, a, b)


def _gram_spectrum(kept: Bools, a: int, b: int) -> Floats:
    """Return the eigenvalues where all rows have degree ``a`` and all columns degree ``b``."""
    rows, columns = kept.shape
    edges = kept.astype(np.float32)  # the Gram matrix holds integers below 2²⁴: exact
    squares = np.linalg.eigvalsh((edges.T @ edges).astype(np.float64))
    squares = np.clip(squares, 0.0, a * b)
    large = (a + b) / 2 + np.sqrt(((a - b) / 2) ** 2 + squares)
    return np.concatenate([large, (a * b - squares) / large, np.full(rows - columns, float(a))])


def _compressed_spectrum(kept: Bools, a: Degrees, b: Degrees) -> Floats:
    """Return the eigenvalues, rows of one degree compressed where they outnumber the columns."""
    columns = kept.shape[1]
    blocks, diagonal, split_off = [], [], []
    for degree in np.unique(a):
        block = kept[a == degree].astype(np.float64)
        if len(block) > columns:
            split_off.append(np.full(len(block) - columns, float(degree)))
            block = np.linalg.qr(block, mode="r")
        blocks.append(block)
        diagonal.append(np.full(len(block), float(degree)))
    compressed = np.concatenate(blocks)
    rows = len(compressed)
    laplacian = np.zeros((rows + columns, rows + columns))
    laplacian[rows:, :rows] = -compressed.T  # eigvalsh reads the lower triangle only
    np.fill_diagonal(laplacian, np.concatenate([*diagonal, b]))
    return np.concatenate([np.linalg.eigvalsh(laplacian), *split_off])
