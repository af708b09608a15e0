"""Slow, readable references of the baselines: plain Python over sets of ``(out, in)`` pairs."""

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations, product

from tests.reference.crafting import Edge, Table, edge_keys


def top(scores: Table, cells: Iterable[Edge], count: int, keys: list[list[int]]) -> set[Edge]:
    """The ``count`` cells of highest score, of equals those of lowest key, then the first."""
    return set(
        sorted(cells, key=lambda cell: (-scores[cell[0]][cell[1]], keys[cell[0]][cell[1]], cell))[
            :count
        ]
    )


def magnitude(scores: Table, edges: int, key: int) -> set[Edge]:
    keys = edge_keys(key, len(scores), len(scores[0]))
    return top(scores, product(range(len(scores)), range(len(scores[0]))), edges, keys)


def constant_fan_in(scores: Table, edges: int, key: int) -> set[Edge]:
    keys = edge_keys(key, len(scores), len(scores[0]))
    floor, spare = divmod(edges, len(scores))
    rows = [[(u, v) for v in range(len(scores[0]))] for u in range(len(scores))]
    kept = set().union(*(top(scores, row, floor, keys) for row in rows))
    following = [cell for row in rows for cell in top(scores, set(row) - kept, 1, keys)]
    return kept | top(scores, following, spare, keys)


def nm(scores: Table, n: int, m: int, key: int) -> set[Edge]:
    keys = edge_keys(key, len(scores), len(scores[0]))
    return {
        cell
        for u in range(len(scores))
        for start in range(0, len(scores[0]), m)
        for cell in top(scores, [(u, start + v) for v in range(m)], n, keys)
    }


def best_transposable(block: Table, n: int) -> set[Edge] | None:
    """The cells of the largest score of an M × M block, n in every row and column, by trying all.

    Scores are rounded to 2⁻⁴⁰ of the largest, -inf is never kept; of equal patterns the first row
    that differs has the earlier cells. None if there is no pattern.
    """
    m = len(block)
    exponent = math.frexp(max((abs(s) for row in block for s in row if s > -math.inf), default=0))[
        1
    ]
    unit = Fraction(2) ** (exponent - 40)
    # The best rows below, from the last row up, by the edges that every column is still to have.
    below: dict[tuple[int, ...], tuple[int, tuple[tuple[int, ...], ...]]] = {(0,) * m: (0, ())}
    for row in reversed(block):
        above: dict[tuple[int, ...], tuple[int, tuple[tuple[int, ...], ...]]] = {}
        for pattern in combinations(range(m), n):
            if any(row[v] == -math.inf for v in pattern):
                continue
            own = sum(round(Fraction(row[v]) / unit) for v in pattern)
            for sums, (score, rows) in below.items():
                key = tuple(s + (v in pattern) for v, s in enumerate(sums))
                if max(key) <= n and (key not in above or score + own > above[key][0]):
                    above[key] = score + own, (pattern, *rows)
        below = above
    found = below.get((n,) * m)
    return found and {(u, v) for u, row in enumerate(found[1]) for v in row}


def radix_net(radices: list[int], layer: int) -> list[list[int]]:
    """Sum of powers of the cyclic shift: layer ``layer`` of a RadiX-Net, ``(out, in)``."""
    size, place = 1, 1
    for position, radix in enumerate(radices):
        size *= radix
        place *= radix if position < layer else 1
    matrix = [[0] * size for _ in range(size)]
    for vertex in range(size):
        for digit in range(radices[layer]):
            matrix[(vertex + digit * place) % size][vertex] += 1
    return matrix
