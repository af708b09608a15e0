"""Slow, readable references of the crafting algorithms: plain Python over dictionaries of edges.

They share no code with the engine. A graph is a set of ``(out, in)`` pairs.
"""

import math
from collections.abc import Callable

Edge = tuple[int, int]
Table = list[list[float]]
INF = math.inf


class Side:
    """The degrees of one side and the tokens left for going above the floor."""

    def __init__(self, vertices: int, edges: int) -> None:
        self.floor, self.tokens = divmod(edges, vertices)
        self.degree = [0] * vertices

    def eligible(self, vertex: int) -> bool:
        if self.degree[vertex] < self.floor:
            return True
        return self.degree[vertex] == self.floor and self.tokens > 0

    def take(self, vertex: int) -> None:
        self.tokens -= self.degree[vertex] == self.floor
        self.degree[vertex] += 1

    def all_eligible(self) -> list[int]:
        return [vertex for vertex in range(len(self.degree)) if self.eligible(vertex)]


def keeps_contract(kept: list[list[bool]], edges: int) -> bool:
    """Whether so many edges are shared evenly on both sides."""
    return sum(map(sum, kept)) == edges and all(
        sum(vertex) in {edges // len(side), -(-edges // len(side))}
        for side in (kept, [*zip(*kept, strict=True)])
        for vertex in side
    )


def edge_keys(key: int, out: int, n_in: int) -> list[list[int]]:
    """The words of a stream by flat index, which tell edges of equal score apart."""
    words = Philox(key)
    return [[words.word() for _ in range(n_in)] for _ in range(out)]


def greedy(scores: Table, edges: int, key: int) -> tuple[set[Edge], Side, Side]:
    """Algorithm 3 with the guard: by score, then key, then flat index; -inf never."""
    keys = edge_keys(key, len(scores), len(scores[0]))
    outs, ins = Side(len(scores), edges), Side(len(scores[0]), edges)
    graph: set[Edge] = set()
    ranked = [
        (-s, keys[u][v], u, v)
        for u, row in enumerate(scores)
        for v, s in enumerate(row)
        if s != -INF
    ]
    for _, _, u, v in sorted(ranked):
        if outs.eligible(u) and ins.eligible(v):
            graph.add((u, v))
            outs.take(u)
            ins.take(v)
    return graph, outs, ins


def algorithm_3(scores: Table, edges: int, key: int) -> tuple[set[Edge], int]:
    """Greedy and completion: the graph, and how many edges were completed.

    Stops early where neither a free edge nor a length-3 swap is left.
    """
    graph, outs, ins = greedy(scores, edges, key)
    missing = edges - len(graph)
    while len(graph) < edges:
        step = best_step(scores, graph, outs, ins)
        if step is None:
            break
        removed, added, (u, v) = step
        graph -= removed
        graph |= added
        outs.take(u)
        ins.take(v)
    return graph, missing


def best_step(
    scores: Table, graph: set[Edge], outs: Side, ins: Side
) -> tuple[set[Edge], set[Edge], Edge] | None:
    """The free edge or length-3 swap of largest gain: removed, added, and who gains a degree."""
    us, vs = outs.all_eligible(), ins.all_eligible()

    def addable(x: int, y: int) -> bool:
        return (x, y) not in graph and scores[x][y] != -INF

    best_u = {
        y: min((u for u in us if addable(u, y)), key=lambda u: (-scores[u][y], u), default=None)
        for y in range(len(scores[0]))
    }
    best_v = {
        x: min((v for v in vs if addable(x, v)), key=lambda v: (-scores[x][v], v), default=None)
        for x in range(len(scores))
    }
    steps = [(-scores[u][v], 0, (u, v)) for u in us for v in vs if addable(u, v)]
    for x, y in graph:
        u, v = best_u[y], best_v[x]
        if u is not None and v is not None:
            gain = (scores[u][y] + scores[x][v]) - scores[x][y]
            steps.append((-gain, 1, (x, y)))
    if not steps:
        return None
    _, is_swap, (x, y) = min(steps)
    if not is_swap:
        return set(), {(x, y)}, (x, y)
    u, v = best_u[y], best_v[x]
    return {(x, y)}, {(u, y), (x, v)}, (u, v)


def algorithm_2(out: int, n_in: int, edges: int, below: Callable[[int], int]) -> set[Edge]:
    """Algorithm 2 with repair, drawing with ``below(n)``, uniform in 0 … n - 1."""
    graph: set[Edge] = set()
    outs, ins = LeastFirst(out), LeastFirst(n_in)
    for _ in range(edges):
        us, vs = outs.least(), ins.least()
        i, j = below(len(us)), below(len(vs))
        tries = 0
        while (us[i], vs[j]) in graph and tries < 16 + len(us) * len(vs):
            i, j = below(len(us)), below(len(vs))
            tries += 1
        if (us[i], vs[j]) in graph:
            pairs = [(a, b) for a in range(len(us)) for b in range(len(vs))]
            free = [(a, b) for a, b in pairs if (us[a], vs[b]) not in graph]
            if free:
                i, j = free[below(len(free))]
        u, v = us[i], vs[j]
        if (u, v) in graph:
            x = below(out)
            while (x, v) in graph:
                x = below(out)
            surplus = [y for y in range(n_in) if (x, y) in graph and (u, y) not in graph]
            y = surplus[below(len(surplus))]
            graph = graph - {(x, y)} | {(u, y), (x, v)}
        else:
            graph.add((u, v))
        outs.raise_at(i)
        ins.raise_at(j)
    return graph


class LeastFirst:
    """Vertices of least degree in front; one that gains an edge goes behind them."""

    def __init__(self, vertices: int) -> None:
        self.order = list(range(vertices))
        self.count = vertices

    def least(self) -> list[int]:
        return self.order[: self.count]

    def raise_at(self, position: int) -> None:
        last = self.count - 1
        self.order[position], self.order[last] = self.order[last], self.order[position]
        self.count = last or len(self.order)


class Philox:
    """Philox4x32-10 in Python integers."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.drawn = 0

    def block(self, counter: int) -> list[int]:
        low = 0xFFFFFFFF
        key = [self.key & low, self.key >> 32]
        c = [counter >> 32 * i & low for i in range(4)]
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [p1 >> 32 ^ c[1] ^ key[0], p1 & low, p0 >> 32 ^ c[3] ^ key[1], p0 & low]
            key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
        return c

    def word(self) -> int:
        word = self.block(self.drawn // 4)[self.drawn % 4]
        self.drawn += 1
        return word

    def below(self, n: int) -> int:
        if n > 1 << 32:
            bits = (n - 1).bit_length()
            while True:
                number = (self.word() | self.word() << 32) & ((1 << bits) - 1)
                if number < n:
                    return number
        product = self.word() * n
        while product % 2**32 < (2**32 - n) % n:
            product = self.word() * n
        return product >> 32
