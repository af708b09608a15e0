"""Slow, readable references of the baselines: plain Python over sets of ``(out, in)`` pairs."""

from collections.abc import Iterable
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


def best_transposable(block: Table, n: int) -> float:
    """The largest score of an M × M block with n cells in every row and column, by trying all."""
    m = len(block)
    patterns = list(combinations(range(m), n))
    best = {(0,) * m: 0.0}
    for row in block:
        further: dict[tuple[int, ...], float] = {}
        for sums, score in best.items():
            for pattern in patterns:
                key = tuple(s + (v in pattern) for v, s in enumerate(sums))
                if max(key) <= n:
                    total = score + sum(row[v] for v in pattern)
                    further[key] = max(further.get(key, -float("inf")), total)
        best = further
    return best[(n,) * m]


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
