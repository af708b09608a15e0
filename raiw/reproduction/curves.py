"""Figure 4c of RAIW: how fast the entropy of a layer's graph grows with its edges."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting.built import Built
from raiw.crafting.growth import growth
from raiw.crafting.randomness import Stream
from raiw.graphs import Graph
from raiw.pictures.drawing import headed
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import look_of
from raiw.pictures.panels import panels
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, compared, uncompared
from raiw.specs.spec import Spec
from raiw.statistics import measure

_SEEDS = 3
_FIRST = {256: 1000, 512: 2000}
"""Edges up to which the text sees large increments, by side."""
_AT_PEAK = {256: 2048, 512: 4096}
"""Edges at which the text sees the peak almost reached, by side."""
_DEGREE = 16
"""At which Figure 4c ends."""
_SMALL = 24
"""Side of a layer in which the exact greedy takes a second or two."""
_DIGITS = 9
"""Of the entropies in files: the others depend on the machine."""


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
            {edges: _mean(name, side, edges) for edges in (first, 8 * side, _DEGREE * side)}
            for name in ("regular", "random")
        )
        share, other = (curve[first] / curve[_DEGREE * side] for curve in (regular, random))
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


@dataclass(frozen=True, slots=True)
class Curve:
    """Entropies of one kind of graph in a square layer, over edges."""

    algorithm: str
    side: int
    entropies: dict[int, float]
    """In nats, by edges."""

    def line(self, *, full: bool = True) -> Line:
        """Return the line over degrees, up to the full layer or to where the paper ends."""
        last = self.side if full else _DEGREE
        return Line(
            name=f"{self.algorithm}, {_shape(self.side)}",
            points=[
                (edges / self.side, entropy)
                for edges, entropy in self.entropies.items()
                if edges <= last * self.side
            ],
            look=look_of(self.algorithm),
            dashed=self.side == min(_FIRST) or self.algorithm == "greedy",
        )


@cache
def curves() -> tuple[Curve, ...]:
    """Return the curves of regular and random graphs from one edge to the full layer, seed 0.

    Another seed differs by less than 0.001 nats for regular graphs, 0.02 for random ones.
    """
    return tuple(
        Curve(name, side, {edges: _entropy(name, (side, side), edges) for edges in _edges_of(side)})
        for side in _FIRST
        for name in ("regular", "random")
    )


@cache
def small_curves() -> tuple[Curve, ...]:
    """Return the curves in a small layer, that of the exact greedy (Algorithm 1) among them."""
    edges = _edges_of(_SMALL)
    drawn = (
        Curve(name, _SMALL, {m: _entropy(name, (_SMALL, _SMALL), m) for m in edges})
        for name in ("regular", "random")
    )
    return (*drawn, Curve("greedy", _SMALL, dict(_grown(edges))))


def _grown(edges: list[int]) -> Iterator[tuple[int, float]]:
    """Yield the entropies of the greedy's graph on its way, at some numbers of edges."""
    kept = np.zeros((_SMALL, _SMALL), np.bool_)
    for place, (out, n_in) in enumerate(growth(~kept, largest=True), 1):
        kept[out, n_in] = True
        if place in edges:
            yield place, measure(Graph.from_bool(kept)).entropy


def _edges_of(side: int) -> list[int]:
    """Return numbers of edges: close together up to the degree of the paper, then by powers."""
    first = (2**power for power in range(side.bit_length()) if 2**power < side // 4)
    middle = (round(side * quarters / 4) for quarters in range(1, 9))
    later = (side * degree for degree in (3, 4, 6, 8, 12, _DEGREE))
    steps = math.ceil(math.log2(side / _DEGREE))
    last = (round(_DEGREE * side * (side / _DEGREE) ** (k / steps)) for k in range(1, steps + 1))
    return sorted({*first, *middle, *later, *last})


def draw_figure4c() -> list[Picture]:
    """Draw the curves as in the paper and whole, and those of a small layer with the greedy."""
    y = "von Neumann entropy, nats"
    large = "degree: edges / 256, edges / 512"
    drawings = [
        line_chart(
            [curve.line(full=False) for curve in curves()],
            x=large,
            y=y,
            title="Up to degree 16, as in the paper",
            description=_ends(curves()),
            across=(0, _DEGREE),
        ),
        line_chart(
            [curve.line() for curve in curves()],
            x=f"{large}; logarithmic",
            y=y,
            title="From one edge to the full layer",
            description=_ends(curves()),
            logarithmic="x",
        ),
        line_chart(
            [_ahead(side) for side in _FIRST],
            x=f"{large}; logarithmic",
            y="nats above the random graph",
            title="Regular above random",
            description=_gains(),
            logarithmic="x",
        ),
        line_chart(
            [curve.line() for curve in small_curves()],
            x=f"degree: edges / {_SMALL}; logarithmic",
            y=y,
            title=f"With the exact greedy, {_SMALL} × {_SMALL}",
            description=_ends(small_curves()),
            logarithmic="x",
        ),
    ]
    titled = [headed(drawing, drawing.title) for drawing in drawings]
    records: list[DataRow] = [
        {
            "algorithm": curve.algorithm,
            "side": curve.side,
            "edges": edges,
            "degree": round(edges / curve.side, _DIGITS),
            "entropy_nats": round(entropy, _DIGITS) + 0.0,
        }
        for curve in (*curves(), *small_curves())
        for edges, entropy in curve.entropies.items()
    ]
    return [
        Picture.of(
            "figure4c",
            panels([titled[:2], titled[2:]], title="Entropy by edges"),
            records,
            "Entropy of a layer's graph as edges are added",
            "Layers of 256 × 256 and 512 × 512, seed 0, every value exact. Up to degree 1 a "
            "regular graph is a matching of m edges, S = ln m; the full n × n layer has "
            "S = (1 − 1/n) ln 2n + (ln n)/n.",
        )
    ]


def _ahead(side: int) -> Line:
    """Return how far regular graphs are above random ones of as many edges."""
    regular, random = (curve for curve in curves() if curve.side == side)
    line = regular.line()
    above = [s - random.entropies[edges] for edges, s in regular.entropies.items()]
    points = [(degree, gain) for (degree, _), gain in zip(line.points, above, strict=True)]
    return replace(line, name=_shape(side), points=points)


def _gains() -> str:
    said = []
    for side in _FIRST:
        degree, gain = max(_ahead(side).points, key=lambda point: point[1])
        said.append(f"{_shape(side)}: at most {gain:.3f} nats, at degree {degree:.3g}.")
    return " ".join(said)


def _ends(drawn: tuple[Curve, ...]) -> str:
    """Return what curves have at degree 8 and in the full layer."""
    return " ".join(
        f"{curve.line().name}: {curve.entropies[8 * curve.side]:.4f} nats at degree "
        f"8, {curve.entropies[curve.side**2]:.4f} in the full layer."
        for curve in drawn
    )


def _shape(side: int) -> str:
    return f"{side} × {side}"


def _layer(side: int) -> Spec:
    layer = {"name": "layer", "kind": "linear", "in_features": side, "out_features": side}
    return Spec.parse({"layers": [layer], "craft": {"degree": 8}})


def _mean(algorithm: str, side: int, edges: int) -> float:
    return math.fsum(_entropy(algorithm, (side, side), edges, s) for s in range(_SEEDS)) / _SEEDS


def _entropy(algorithm: str, shape: tuple[int, int], edges: int, seed: int = 0) -> float:
    stream = Stream(seed, "layer", 0)
    built: Built = ALGORITHMS[algorithm].load()(shape, edges, scores=None, stream=stream)
    return measure(built.graph).entropy
