"""Neural graphs as their papers draw them: a row of vertices a layer, a line an edge."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from raiw.graphs import Graph
from raiw.pictures.drawing import Drawing, Mark, Path, Pixel, Shape, Words

_APART = 64
"""Between two vertices of a row, at most."""
_BETWEEN = 92
"""Between two rows."""
_LEFT, _TOP, _BOTTOM, _RADIUS = 62, 14, 14, 5.5

Vertex = tuple[int, int]
"""A row, from above, and a place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge from a vertex of a row to one of the row below."""

    row: int
    top: int
    bottom: int
    colour: str = "mask"
    width: float = 1.2
    dashed: bool = False


def edges_of(layers: Iterable[Graph]) -> list[Edge]:
    """Return the edges of ``(out, in)`` graphs of consecutive layers, inputs above."""
    return [
        Edge(row=row, top=int(n_in), bottom=int(out))
        for row, graph in enumerate(layers)
        for out, n_in in zip(*graph.to_bool().nonzero(), strict=True)
    ]


def neural_graph(
    rows: Sequence[tuple[str, int]],
    edges: Sequence[Edge],
    *,
    hollow: Collection[Vertex] = (),
    width: float = 350,
    title: str,
    description: str,
) -> Drawing:
    """Draw a small neural graph, its inputs in the first row.

    Parameters
    ----------
    rows
        What each layer of vertices is called, and how many it has: some thirty at most, to be told
        apart.
    edges
        Later ones lie on top.
    hollow
        Vertices to draw as rings.
    """
    middle = (_LEFT + width) / 2
    room = width - _LEFT - 2 * _RADIUS

    def place(row: int, vertex: int) -> Pixel:
        count = rows[row][1]
        apart = min(_APART, room / max(count - 1, 1))
        return middle + apart * (vertex - (count - 1) / 2), _TOP + _BETWEEN * row

    shapes: list[Shape] = [
        Path(
            points=(place(edge.row, edge.top), place(edge.row + 1, edge.bottom)),
            colour=edge.colour,
            width=edge.width,
            dashed=edge.dashed,
        )
        for edge in edges
    ]
    for row, (name, count) in enumerate(rows):
        shapes.append(Words(x=0, y=_TOP + _BETWEEN * row + 4, text=name))
        for vertex in range(count):
            x, y = place(row, vertex)
            ring = (row, vertex) in hollow
            colour = "random" if ring else "ink"
            says = f"{name}, {vertex + 1} of {count}"
            shapes.append(Mark(x=x, y=y, colour=colour, size=_RADIUS, says=says))
            if ring:
                shapes.append(Mark(x=x, y=y, colour="surface", size=_RADIUS - 2, says=says))
    return Drawing(
        width=width,
        height=_TOP + _BETWEEN * (len(rows) - 1) + _BOTTOM,
        title=title,
        description=description,
        shapes=tuple(shapes),
    )
