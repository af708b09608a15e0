"""Graphs grown edge by edge, each the one of largest (or smallest) von Neumann entropy.

S = ln 2m - tr(L ln L)/2m, so the edges of one step differ in tr(L ln L) only. The edge (u, v) adds
bbᵀ to L with b = e_u - e_v. From x ln x = ∫₀^∞ (x/(1+t) - x/(x+t)) dt and L = VΛVᵀ,

    Δ tr(L ln L) = 2 - ∫₀^∞ (ln(1 + φ(t)) - 2/(1+t)) dt,    φ(t) = Σ_k (V_uk - V_vk)²/(λ_k + t).

One decomposition a step and the trapezoidal rule in ln t, which is one matrix product, give the
increments of all edges to 1e-12. Entropies within 1e-9 of the best are equal; the lowest flat
index ``out·n_in + in`` is taken. The first step compares entropies that are all 0.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 1.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from raiw.errors import TooLarge
from raiw.graphs import Bools, Floats, Graph

Vertices = npt.NDArray[np.intp]

TIE = 1e-9
MAX_WORK = 1 << 33
"""Most edges · cells · vertices; this many take minutes."""

_NODES = np.exp(np.linspace(-34.0, 30.0, 160))
_WEIGHTS = _NODES * (64.0 / 159.0)
_CONSTANT = 2.0 + float(np.sum(_WEIGHTS * 2.0 / (1.0 + _NODES)))


def grow(
    shape: tuple[int, int], edges: int, *, largest: bool, allowed: Bools | None = None
) -> Graph:
    """Return the graph of ``edges`` edges, each of the largest (or smallest) entropy in turn.

    Edges outside ``allowed`` are never taken. Costs O(m'·(n³ + 160·n·out·in)) for n vertices.

    Raises
    ------
    TooLarge
        The graph would take hours.
    """
    free = np.ones(shape, np.bool_) if allowed is None else allowed
    if edges == int(free.sum()):
        return Graph.from_bool(free)
    _check_size(shape, edges)
    kept = np.zeros(shape, np.bool_)
    for u, v in itertools.islice(growth(free, largest=largest), edges):
        kept[u, v] = True
    return Graph.from_bool(kept)


def growth(allowed: Bools, *, largest: bool) -> Iterator[tuple[int, int]]:
    """Yield the allowed edges ``(out, in)`` in the order in which :func:`grow` takes them."""
    out, n_in = allowed.shape
    free = allowed.copy()
    laplacian = np.zeros((out + n_in, out + n_in))
    for placed in range(int(free.sum())):
        outs, ins = np.nonzero(free)
        cost = _trace_increase(laplacian, outs, out + ins)
        if not largest:
            cost = -cost
        first = int(np.argmax(cost <= cost.min() + TIE * 2 * (placed + 1)))
        u, v = int(outs[first]), int(ins[first])
        free[u, v] = False
        ends = [u, out + v]
        laplacian[np.ix_(ends, ends)] += [[1.0, -1.0], [-1.0, 1.0]]
        yield u, v


def _trace_increase(laplacian: Floats, us: Vertices, vs: Vertices) -> Floats:
    """Return what each edge (u, v) adds to tr(L ln L)."""
    eigenvalues, vectors = np.linalg.eigh(laplacian)
    shares = (vectors[us] - vectors[vs]) ** 2
    phi = shares @ (1.0 / (np.maximum(eigenvalues, 0.0)[:, None] + _NODES))
    increase: Floats = _CONSTANT - np.log1p(phi) @ _WEIGHTS
    return increase


def _check_size(shape: tuple[int, int], edges: int) -> None:
    out, n_in = shape
    work = edges * out * n_in * (out + n_in)
    if work > MAX_WORK:
        raise TooLarge(
            f"the exact greedy of {edges} edges in a {out} × {n_in} graph would take hours: "
            f"edges · cells · vertices is {work}, the limit {MAX_WORK}; algorithm 'regular' comes "
            f"within thousandths of its entropy in milliseconds",
            limit=MAX_WORK,
        )
