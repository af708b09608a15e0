"""Von Neumann entropy of a layer's graph, in nats.

The density matrix is ρ = L/2m for the Laplacian L of a graph of m edges: S = -tr(ρ ln ρ) (Dong et
al., IJCAI 2019, Eq. 1-2), with 0·ln 0 = 0. A graph without edges has no density matrix; its
entropies are 0 here.
"""

import math

import numpy as np

from raiw.graphs import Degrees, Floats


def von_neumann_entropy(trace: float, edges: int) -> float:
    """Return S = ln 2m - tr(L ln L)/2m of a graph of m edges, Eq. 2 with λ/2m written out.

    >>> matching = np.array([0.0, 2.0] * 5)
    >>> round(von_neumann_entropy(float(x_log_x(matching).sum()), 5) - math.log(5), 12)
    0.0
    """
    return math.log(2 * edges) - trace / (2 * edges) if edges else 0.0


def x_log_x(x: Floats) -> Floats:
    """Return x ln x, 0 at 0."""
    return x * np.log(np.where(x > 0, x, 1.0))


def quadratic_entropy(out_degrees: Degrees, in_degrees: Degrees) -> float:
    """Return the quadratic form 1 - 1/2m - Σd²/4m² of the entropy (Eq. 6), correctly rounded.

    It bounds S from below and orders graphs well, but graphs of equal degrees are equal to it.
    """
    edges = int(out_degrees.sum())
    if edges == 0:
        return 0.0
    squares = int(np.sum(out_degrees**2)) + int(np.sum(in_degrees**2))
    return (4 * edges**2 - 2 * edges - squares) / (4 * edges**2)


def regularity(out_degrees: Degrees, in_degrees: Degrees) -> float:
    """Return R = -std(d) over the degrees of all vertices, both sides together (Eq. 3).

    A bipartite graph with sides of unequal size cannot reach 0, however regular each side is.
    """
    n = len(out_degrees) + len(in_degrees)
    total = int(out_degrees.sum()) + int(in_degrees.sum())
    squares = int(np.sum(out_degrees**2)) + int(np.sum(in_degrees**2))
    return 0.0 - math.sqrt(n * squares - total**2) / n  # 0 for a regular graph, not -0


def dense_entropy(shape: tuple[int, int], groups: int = 1) -> float:
    """Return S of the dense layer of ``shape`` ``(out, in/groups)``, in closed form.

    Each group is a complete graph K(p, q): eigenvalues 0, q (p-1 times), p (q-1 times) and p+q.

    >>> round(dense_entropy((10, 10)), 6)
    2.926418
    """
    p, q = shape[0] // groups, shape[1]
    by_group = (p - 1) * q * math.log(q) + (q - 1) * p * math.log(p) + (p + q) * math.log(p + q)
    return math.log(2 * groups * p * q) - by_group / (2 * p * q)


def expected_gap(shape: tuple[int, int], edges: float, *, regular: bool) -> float:
    """Return about how far S of a random mask is below that of the dense layer, to second order.

    With the mean degrees a and b of the p outputs and q inputs, m edges and the density ρ, the
    singular values but the first spread as those of independent edges, and x ln x around the
    degrees gives ``(1 - ρ) ln(a/b)/2(a - b)``, which is ``(1 - ρ)/2a`` where a = b. Degrees that
    are not fixed vary by ``a(1 - ρ)`` and ``b(1 - ρ)``, and cost ``(1 - ρ)(p + q)/4m`` more: twice
    the gap where p = q. Good to some percent from degrees of 8 on.

    Parameters
    ----------
    shape
        ``(out, in)`` of one group.
    edges
        Edges of the group, more than 0.
    regular
        Whether the random mask has equal degrees on each side.

    >>> round(expected_gap((512, 512), 8192, regular=True), 4)
    0.0303
    """
    out, n_in = shape
    rest = 1 - edges / (out * n_in)
    a, b = edges / out, edges / n_in
    slope = math.log(a / b) / (a - b) if not math.isclose(a, b, rel_tol=1e-9) else 1 / a
    return rest * (slope / 2 + (0.0 if regular else (out + n_in) / (4 * edges)))
