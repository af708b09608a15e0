"""Figures 1 and 3 of RAIW: toy graphs that show what regularity is for, and how Algorithm 3 works.

The paper prints neither the widths nor the scores of its toys; these are ours.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from raiw.graphs import Graph
from raiw.pictures.drawing import Drawing, Shape, Words, headed
from raiw.pictures.networks import Edge, Vertex, edges_of, neural_graph
from raiw.pictures.panels import panels
from raiw.pipeline import craft_masks
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, uncompared

_SIDE, _DEGREE = 10, 2
_EDGES = _SIDE * _DEGREE
_ROWS = (("inputs", _SIDE), ("hidden", _SIDE), ("outputs", _SIDE))
_OURS = "the paper shows a toy whose widths it does not print; this one is ours, seed 0"

_SCORES = (
    (0.007, 0.031, 0.008, 0.027),
    (0.019, 0.024, 0.005, 0.016),
    (0.022, 0.035, 0.010, 0.003),
    (0.029, 0.009, 0.015, 0.006),
)
"""Of output (row) and input (column), such that the last step is the one of the paper's text."""
_TAKEN = (3, 5, 8)
"""Edges after which Figure 3 is drawn."""


def figure1() -> list[Row]:
    """Return how many vertices random and regular graphs leave without an edge to a layer."""
    sides = 4 * _SIDE
    chance = math.comb(_SIDE * (_SIDE - 1), _EDGES) / math.comb(_SIDE * _SIDE, _EDGES)
    said = {"random": "might block data flow", "regular": "can avoid it"}
    expected = {"random": f" ({sides * chance:.1f} expected)", "regular": ""}
    rows = []
    for algorithm, words in said.items():
        layers = _toy(algorithm)
        label = f"{algorithm}, {_SIDE}-{_SIDE}-{_SIDE} with {_EDGES} edges a layer"
        cut = len(blocked(layers))
        rows.append(
            uncompared(f"{label}: blocked vertices", words, f"{cut}{expected[algorithm]}", _OURS)
        )
        pairs = f"{reached(layers)} of {_SIDE * _SIDE}"
        rows.append(uncompared(f"{label}: inputs that reach an output, pairs", "", pairs, _OURS))
    return rows


def draw_figure1() -> list[Picture]:
    """Draw both graphs; vertices that pass nothing on are rings."""
    drawings, records = [], []
    for algorithm in ("random", "regular"):
        layers = _toy(algorithm)
        rings = blocked(layers)
        says = (
            f"{_EDGES} edges a layer; {len(rings)} of {3 * _SIDE} vertices are blocked, "
            f"{reached(layers)} of {_SIDE * _SIDE} pairs of an input and an output are joined."
        )
        graph = neural_graph(
            _ROWS, edges_of(layers), hollow=rings, title=algorithm, description=says
        )
        drawings.append(headed(graph, algorithm.capitalize(), says))
        records += [{"graph": algorithm, **each} for each in edge_records(layers)]
    return [
        Picture.of(
            "figure1",
            panels([drawings], title="Random and regular neural graphs"),
            records,
            "Random and regular neural graphs of as many edges",
            "A line is a weight, or a filter. A ring is a vertex without an edge on a side that "
            "needs one: it passes nothing on. Drawn by seed 0, not chosen.",
        )
    ]


def blocked(layers: list[Graph]) -> set[Vertex]:
    """Return the vertices that lack an edge to a neighbouring layer."""
    lacking = set()
    for row, graph in enumerate(layers):
        lacking |= {(row, int(vertex)) for vertex in np.flatnonzero(graph.in_degrees() == 0)}
        lacking |= {(row + 1, int(vertex)) for vertex in np.flatnonzero(graph.out_degrees() == 0)}
    return lacking


def reached(layers: list[Graph]) -> int:
    """Return how many pairs of an input and an output a path joins."""
    paths = np.eye(layers[0].shape[1])
    for graph in layers:
        paths = graph.to_bool() @ paths
    return int((paths > 0).sum())


def edge_records(layers: list[Graph]) -> list[DataRow]:
    """Return a row for each edge: its layer, input and output, counted from 1."""
    return [
        {"layer": edge.row + 1, "input": edge.top + 1, "output": edge.bottom + 1}
        for edge in edges_of(layers)
    ]


@cache
def _toy(algorithm: str) -> list[Graph]:
    layers = [
        {"name": name, "kind": "linear", "in_features": _SIDE, "out_features": _SIDE}
        for name in ("first", "second")
    ]
    spec = {"layers": layers, "craft": {"algorithm": algorithm, "degree": _DEGREE, "seed": 0}}
    return [mask.graph for mask in craft_masks(spec).values()]


@dataclass(frozen=True, slots=True)
class Visit:
    """An edge that Algorithm 3 looks at, in its turn."""

    score: float
    input: int
    output: int
    full: tuple[str, ...]
    """Ends that have all their edges already; none where the edge is taken."""

    @property
    def says(self) -> str:
        """What becomes of it."""
        return f"refused, {' and '.join(self.full)} full" if self.full else "taken"


@cache
def visits() -> list[Visit]:
    """Return the edges that Algorithm 3 looks at until it has all, best score first."""
    scores = np.array(_SCORES)
    side = len(scores)
    layer = {"name": "layer", "kind": "linear", "in_features": side, "out_features": side}
    spec = {"layers": [layer], "craft": {"algorithm": "raiw", "degree": _DEGREE}}
    kept = craft_masks(spec, {"layer": scores})["layer"].graph.to_bool()
    found = []
    degrees: dict[str, int] = {}
    for flat in np.argsort(-scores, axis=None):
        output, n_in = divmod(int(flat), side)
        ends = (f"in {n_in + 1}", f"out {output + 1}")
        full = tuple(end for end in ends if degrees.get(end, 0) == _DEGREE)
        if kept[output, n_in]:
            degrees |= {end: degrees.get(end, 0) + 1 for end in ends}
            full = ()
        found.append(Visit(float(scores[output, n_in]), n_in, output, full))
        if sum(degrees.values()) == 2 * int(kept.sum()):
            break
    return found


def figure3() -> list[Row]:
    """Return the best score that Algorithm 3 refuses in its last step, and the one it takes."""
    before, last = [turn for turn, visit in enumerate(visits()) if not visit.full][-2:]
    refused = max(visit.score for visit in visits()[before + 1 : last])
    why = "the scores are ours, chosen so that the last step is that of the text"
    return [
        uncompared("last step, best score refused", "0.01", f"{refused:g}", why),
        uncompared("last step, score taken", "0.005", f"{visits()[last].score:g}", why),
    ]


def draw_figure3() -> list[Picture]:
    """Draw the graph as it grows, and list what was looked at."""
    side = len(_SCORES)
    steps = [_step(count, side) for count in _TAKEN]
    records: list[DataRow] = [
        {
            "turn": turn,
            "score": visit.score,
            "input": visit.input + 1,
            "output": visit.output + 1,
            "verdict": visit.says,
        }
        for turn, visit in enumerate(visits(), 1)
    ]
    rows = [steps[:2], [steps[2], _list()]]
    return [
        Picture.of(
            "figure3",
            panels(rows, title="Algorithm 3, step by step"),
            records,
            "Algorithm 3: the best edges that leave the graph regular",
            f"Four inputs and four outputs, {_DEGREE} edges each. Edges are looked at from the "
            "best score down. Blue: taken; orange, dashed: refused, an end has all its edges; "
            "grey: not looked at yet.",
        )
    ]


def _step(count: int, side: int) -> Drawing:
    """Draw the graph after so many edges."""
    taken = np.cumsum([not visit.full for visit in visits()])
    seen = visits()[: int(np.argmax(taken == count)) + 1]
    looked_at = {(visit.input, visit.output) for visit in seen}
    edges = [
        Edge(row=0, top=n_in, bottom=out, colour="muted", width=0.7, dashed=True)
        for n_in in range(side)
        for out in range(side)
        if (n_in, out) not in looked_at
    ]
    edges += [
        Edge(
            row=0,
            top=visit.input,
            bottom=visit.output,
            colour="random" if visit.full else "mask",
            width=1.6 if visit.full else 2.2,
            dashed=bool(visit.full),
        )
        for visit in sorted(seen, key=lambda visit: not visit.full)
    ]
    refused = sum(bool(visit.full) for visit in seen)
    says = f"{len(seen)} edges looked at, {refused} of them refused"
    drawing = neural_graph(
        (("inputs", side), ("outputs", side)), edges, title=f"{count} edges", description=says
    )
    return headed(drawing, f"{count} edges", says)


def _list() -> Drawing:
    """List every edge that is looked at, in its turn."""
    shapes: list[Shape] = [
        Words(x=0, y=15, text="In order of score", colour="ink", size=15, bold=True)
    ]
    for place, visit in enumerate(visits()):
        y = 40 + 15.5 * place
        shapes.append(Words(x=0, y=y, text=f"{visit.score:.3f}"))
        shapes.append(Words(x=44, y=y, text=f"{visit.input + 1} to {visit.output + 1}"))
        colour = "random" if visit.full else "mask"
        shapes.append(Words(x=96, y=y, text=visit.says, colour=colour))
    says = "; ".join(f"{visit.score:.3f} {visit.says}" for visit in visits())
    return Drawing(
        width=350,
        height=32 + 15.5 * len(visits()),
        title="Edges in order of score",
        description=says,
        shapes=tuple(shapes),
    )
