"""Figures 2 and 4c of RAIW: entropies of small graphs, and how fast they grow with edges."""

import math
from typing import Literal

from raiw.algorithms import ALGORITHMS
from raiw.crafting.built import Built
from raiw.crafting.network import craft_network
from raiw.crafting.randomness import Stream
from raiw.reproduction.rows import Row, Verdict, compared
from raiw.statistics import measure

_TOY = (5, 10, 5)
_TOY_EDGES = 50
_PRINTED: tuple[tuple[Literal["greedy", "greedy_min"], str], ...] = (
    ("greedy", "2.875"),
    ("greedy_min", "2.554"),
)
_SEEDS = 3
_FIRST = {256: 1000, 512: 2000}
"""Edges up to which the text sees large increments, by side."""


def figure2() -> list[Row]:
    """Return the entropies of the two toy graphs, crafted over the whole 5-10-5 network."""
    rows = []
    for algorithm, printed in _PRINTED:
        graph = craft_network(_TOY, _TOY_EDGES, algorithm)
        entropy = f"{measure(graph.folded).entropy:.3f}"
        rows.append(compared(f"{algorithm}, {_TOY_EDGES} of 100 edges, nats", printed, entropy))
    return rows


def figure4c() -> list[Row]:
    """Return what the text reads off the entropy curves."""
    rows = []
    for side, first in _FIRST.items():
        curves = {
            name: {m: _mean(name, side, m) for m in (first, 8 * side, 16 * side)}
            for name in ("regular", "random")
        }
        regular, random = curves["regular"], curves["random"]
        label = f"{side}×{side}"
        share = regular[first] / regular[16 * side]
        rows.append(_claim(f"{label}, share of S(d=16) after {first} edges", share, 0.95))
        peak = regular[8 * side] / math.log(2 * side - 1)
        rows.append(_claim(f"{label}, share of the peak at d=8", peak, 0.98))
        faster = regular[8 * side] - random[8 * side]
        rows.append(
            Row(
                f"{label}, regular above random at d=8, nats",
                "faster",
                f"{faster:+.4f}",
                "match" if faster > 0 else "mismatch",
                f"about one per cent: random reaches {random[8 * side]:.3f} of "
                f"{regular[8 * side]:.3f}",
            )
        )
    return rows


def _claim(quantity: str, share: float, least: float) -> Row:
    verdict: Verdict = "match" if share >= least else "mismatch"
    return Row(quantity, "almost all", f"{100 * share:.1f} %", verdict)


def _mean(algorithm: str, side: int, edges: int) -> float:
    return math.fsum(_entropy(algorithm, (side, side), edges, s) for s in range(_SEEDS)) / _SEEDS


def _entropy(algorithm: str, shape: tuple[int, int], edges: int, seed: int = 0) -> float:
    stream = Stream(seed, "layer", 0)
    built: Built = ALGORITHMS[algorithm].load()(shape, edges, scores=None, stream=stream)
    return measure(built.graph).entropy
