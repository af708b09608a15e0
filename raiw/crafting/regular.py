"""Algorithm ``regular``: random edges between vertices of least degree.

Each step joins a pair drawn uniformly among the free pairs of a least-degree output and a
least-degree input. Where all those pairs are joined already, which the published algorithm does
not foresee, a random swap repairs it: for such a pair ``(u, v)``, an output ``x`` not adjacent to
``v`` gives one of its inputs ``y`` to ``u`` and takes ``v``. ``x`` has a larger degree than ``u``,
so there is a ``y`` that ``u`` has not. Degrees are thus always even on both sides: the degree
contract holds after every step. Expected cost O(m') while the graph is not nearly complete.

Source: Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019, Algorithm 2.
"""

import numpy as np

from raiw.crafting import Built, Scores
from raiw.crafting.compiled import kernel
from raiw.crafting.randomness import State, Stream, below
from raiw.graphs import Bits, Graph, Indices

_TRIES = 16


def build(shape: tuple[int, int], edges: int, *, scores: Scores | None, stream: Stream) -> Built:
    """Build a random graph of ``edges`` edges with even degrees."""
    out, n_in = shape
    bits = np.zeros((out, -(-n_in // 8)), np.uint8)
    _join(bits, n_in, edges, stream.state())
    return Built(Graph(shape, bits))


@kernel
def _join(bits: Bits, n_in: int, edges: int, state: State) -> None:
    out = bits.shape[0]
    outs, ins = np.arange(out), np.arange(n_in)
    least_outs, least_ins = out, n_in
    for _ in range(edges):
        i, j = _draw_pair(bits, outs[:least_outs], ins[:least_ins], state)
        u, v = outs[i], ins[j]
        if _joined(bits, u, v):
            x = below(state, out)
            while _joined(bits, x, v):
                x = below(state, out)
            y = _draw_surplus(bits, n_in, x, u, state)
            _flip(bits, x, y)
            _flip(bits, u, y)
            _flip(bits, x, v)
        else:
            _flip(bits, u, v)
        least_outs = _raise(outs, i, least_outs)
        least_ins = _raise(ins, j, least_ins)


@kernel
def _draw_pair(bits: Bits, outs: Indices, ins: Indices, state: State) -> tuple[int, int]:
    """Draw the positions of a free pair, uniformly; of a joined pair if none is free."""
    pairs = len(outs) * len(ins)
    i, j = below(state, len(outs)), below(state, len(ins))
    tries = 0
    while _joined(bits, outs[i], ins[j]) and tries < _TRIES + pairs:
        i, j = below(state, len(outs)), below(state, len(ins))
        tries += 1
    if not _joined(bits, outs[i], ins[j]):
        return i, j
    free = 0
    for k in range(pairs):
        free += not _joined(bits, outs[k // len(ins)], ins[k % len(ins)])
    if free == 0:
        return i, j
    skip = below(state, free)
    for k in range(pairs):
        i, j = k // len(ins), k % len(ins)
        if not _joined(bits, outs[i], ins[j]):
            if skip == 0:
                break
            skip -= 1
    return i, j


@kernel
def _draw_surplus(bits: Bits, n_in: int, x: int, u: int, state: State) -> int:
    """Draw an input that output ``x`` has and ``u`` has not."""
    surplus = [y for y in range(n_in) if _joined(bits, x, y) and not _joined(bits, u, y)]
    return int(surplus[below(state, len(surplus))])


@kernel
def _raise(vertices: Indices, position: int, least: int) -> int:
    """Move a vertex behind those of least degree; return how many those are now."""
    last = least - 1
    vertices[position], vertices[last] = vertices[last], vertices[position]
    if last == 0:
        return len(vertices)
    return last


@kernel
def _joined(bits: Bits, out: int, into: int) -> bool:
    return bool(bits[out, into >> 3] >> (into & 7) & 1)


@kernel
def _flip(bits: Bits, out: int, into: int) -> None:
    bits[out, into >> 3] ^= np.uint8(1 << (into & 7))
