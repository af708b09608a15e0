"""Figures 2 and 4c of RAIW: entropies of small graphs, and how fast they grow with edges."""

import math
from typing import Literal

from raiw.algorithms import ALGORITHMS
from raiw.crafting.built import Built
from raiw.crafting.network import craft_network
from raiw.crafting.randomness import Stream
from raiw.reproduction.rows import Row, compared, uncompared
from raiw.specs.spec import Spec
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
_AT_PEAK = {256: 2048, 512: 4096}
"""Edges at which the text sees the peak almost reached, by side."""


def figure2() -> list[Row]:
    """Return the entropies of the two toy graphs, crafted over the whole 5-10-5 network."""
    rows = []
    for algorithm, printed in _PRINTED:
        graph = craft_network(_TOY, _TOY_EDGES, algorithm)
        entropy = f"{measure(graph.folded).entropy:.3f}"
        rows.append(compared(f"{algorithm}, {_TOY_EDGES} of 100 edges, nats", printed, entropy))
    return rows


def figure4c() -> list[Row]:
    """Return what the text reads off the entropy curves, of both kinds of graphs.

    The text has no number of entropy, so there is no verdict: what it says of regular graphs is
    nearly as true of random ones.
    """
    rows = []
    words = "in words only; random graphs have nearly as much of theirs"
    for side, first in _FIRST.items():
        label = f"{side}×{side}"
        plan = _layer(side).plan()
        rows.append(compared(f"{label}, edges at d=8", str(_AT_PEAK[side]), str(plan.edges)))
        regular, random = (
            {edges: _mean(name, side, edges) for edges in (first, 8 * side, 16 * side)}
            for name in ("regular", "random")
        )
        share, other = (curve[first] / curve[16 * side] for curve in (regular, random))
        rows.append(
            uncompared(
                f"{label}, share of S(d=16) after {first} edges",
                "large increments until then",
                f"{share:.1%} (random {other:.1%})",
                words,
            )
        )
        peak = math.log(2 * side - 1)
        share, other = (curve[8 * side] / peak for curve in (regular, random))
        rows.append(
            uncompared(
                f"{label}, share of the peak at d=8",
                "almost reaches its peak",
                f"{share:.1%} (random {other:.1%})",
                words,
            )
        )
        ahead = regular[8 * side] - random[8 * side]
        rows.append(
            uncompared(
                f"{label}, regular above random at d=8, nats",
                "much faster increment",
                f"{ahead:+.4f} of {regular[8 * side]:.4f}",
                "in words only; it is about one per cent",
            )
        )
    return rows


def _layer(side: int) -> Spec:
    layer = {"name": "layer", "kind": "linear", "in_features": side, "out_features": side}
    return Spec.parse({"layers": [layer], "craft": {"degree": 8}})


def _mean(algorithm: str, side: int, edges: int) -> float:
    return math.fsum(_entropy(algorithm, (side, side), edges, s) for s in range(_SEEDS)) / _SEEDS


def _entropy(algorithm: str, shape: tuple[int, int], edges: int, seed: int = 0) -> float:
    stream = Stream(seed, "layer", 0)
    built: Built = ALGORITHMS[algorithm].load()(shape, edges, scores=None, stream=stream)
    return measure(built.graph).entropy
