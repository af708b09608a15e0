"""What a contract leaves open, told from shapes alone: degrees and numbers of edges."""

import math

from raiw.algorithms import Contract

_EVEN_SIDES = {
    Contract.REGULAR: ("out", "in"),
    Contract.FAN_IN: ("out",),
    Contract.NM: ("out",),
    Contract.TRANSPOSABLE_NM: ("out", "in"),
    Contract.RADIX: ("out", "in"),
    Contract.UNITS: (),
    Contract.EDGES: (),
}


def even_sides(contract: Contract, shape: tuple[int, int]) -> tuple[str, ...]:
    """Return the sides of an ``(out, in)`` graph whose degrees are floor or ceiling of the mean.

    >>> even_sides(Contract.ONE_SIDED, (4, 8)), even_sides(Contract.ONE_SIDED, (8, 8))
    (('out',), ('in',))
    """
    if contract is Contract.ONE_SIDED:
        return ("out",) if shape[1] > shape[0] else ("in",)
    return _EVEN_SIDES[contract]


def degree_range(edges: int, vertices: int, others: int, *, even: bool) -> tuple[int, int]:
    """Return the smallest and largest degree of vertices that share so many edges to ``others``.

    >>> degree_range(12, 4, 8, even=True), degree_range(12, 8, 4, even=False)
    ((3, 3), (0, 4))
    """
    if even:
        return edges // vertices, -(-edges // vertices)
    return max(0, edges - (vertices - 1) * others), min(edges, others)


def is_reachable(contract: Contract, shape: tuple[int, int], m: int, edges: int) -> bool:
    """Whether graphs under a contract may have so many edges: those of :func:`reachable_edges`.

    >>> [is_reachable(Contract.RADIX, (4, 8), 4, edges) for edges in (8, 12, 16)]
    [True, False, True]
    """
    cells = math.prod(shape)
    if contract in {Contract.NM, Contract.TRANSPOSABLE_NM}:
        n = -(-edges * m // cells)
        return cells * n // m == edges
    if contract is Contract.RADIX:
        return edges > 0 and cells % edges == 0 and math.gcd(*shape) % (cells // edges) == 0
    return True


def reachable_edges(contract: Contract, shape: tuple[int, int], m: int) -> list[int] | None:
    """Return the numbers of edges that graphs under a contract have, ascending; None for all.

    >>> reachable_edges(Contract.NM, (2, 8), 4)
    [0, 4, 8, 12, 16]
    >>> reachable_edges(Contract.RADIX, (4, 8), 4)
    [8, 16, 32]
    """
    cells = math.prod(shape)
    if contract in {Contract.NM, Contract.TRANSPOSABLE_NM}:
        return [cells * n // m for n in range(m + 1)]
    if contract is Contract.RADIX:
        return [cells // q for q in reversed(_divisors(math.gcd(*shape)))]
    return None


def blocked_side(contract: Contract, shape: tuple[int, int], m: int) -> str | None:
    """Return a side that blocks of m do not fill, None where the contract has no such trouble.

    >>> blocked_side(Contract.NM, (8, 3), 4)
    'in'
    """
    out, n_in = shape
    if contract in {Contract.NM, Contract.TRANSPOSABLE_NM} and n_in % m:
        return "in"
    return "out" if contract is Contract.TRANSPOSABLE_NM and out % m else None


def _divisors(number: int) -> list[int]:
    small = [q for q in range(1, math.isqrt(number) + 1) if number % q == 0]
    return sorted({*small, *(number // q for q in small)})
