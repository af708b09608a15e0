"""Figure 2 of RAIW: toy graphs of the largest and the smallest entropy."""

from functools import cache
from typing import Literal

from raiw.crafting.network import NetworkGraph, craft_network
from raiw.pictures.drawing import headed
from raiw.pictures.networks import edges_of, neural_graph
from raiw.pictures.panels import panels
from raiw.reproduction.picture import Picture
from raiw.reproduction.rows import Row, compared
from raiw.reproduction.toys import blocked, edge_records
from raiw.statistics import measure

Extreme = Literal["greedy", "greedy_min"]

_TOY = (5, 10, 5)
_TOY_EDGES = 50
_PRINTED: dict[Extreme, str] = {"greedy": "2.875", "greedy_min": "2.554"}


def figure2() -> list[Row]:
    """Return the entropies of the two toy graphs, crafted over the whole 5-10-5 network."""
    return [
        compared(f"{name}, {_TOY_EDGES} of 100 edges, nats", printed, f"{_toy_entropy(name):.3f}")
        for name, printed in _PRINTED.items()
    ]


def draw_figure2() -> list[Picture]:
    """Draw both toy graphs; vertices that pass nothing on are rings."""
    words: dict[Extreme, str] = {"greedy_min": "Smallest entropy", "greedy": "Largest entropy"}
    rows = tuple(zip(("inputs", "hidden", "outputs"), _TOY, strict=True))
    drawings, records = [], []
    for name, heading in words.items():
        layers = _toy(name).layers()
        rings = blocked(layers)
        says = (
            f"{_toy_entropy(name):.3f} nats; {' and '.join(str(g.edges) for g in layers)} edges, "
            f"{len(rings)} of {sum(_TOY)} vertices pass nothing on."
        )
        graph = neural_graph(rows, edges_of(layers), hollow=rings, title=heading, description=says)
        drawings.append(headed(graph, heading, says))
        records += [{"graph": name, **each} for each in edge_records(layers)]
    return [
        Picture.of(
            "figure2",
            panels([drawings], title="Toy graphs of extreme entropy"),
            records,
            f"Greedy graphs of {_TOY_EDGES} edges: smallest and largest entropy",
            "Each edge in turn is the one of smallest, or largest, von Neumann entropy of the "
            "whole 5-10-5 graph. A ring is a vertex without an edge on a side that needs one.",
        )
    ]


@cache
def _toy(name: Extreme) -> NetworkGraph:
    return craft_network(_TOY, _TOY_EDGES, name)


def _toy_entropy(name: Extreme) -> float:
    return measure(_toy(name).folded).entropy
