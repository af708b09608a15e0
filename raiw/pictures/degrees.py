"""Degrees of a layer beside those of a random mask."""

from typing import Literal

import numpy as np

from raiw.graphs import Degrees, Floats, Graph
from raiw.pictures.drawing import Drawing
from raiw.pictures.histogram import histogram

Vertices = Literal["outputs", "inputs"]

_SEEN = 0.002
"""Of the largest expected number: less is not worth the room."""


def degree_histogram(
    graph: Graph, side: Vertices, *, groups: int = 1, width: float = 350
) -> Drawing:
    """Draw how many outputs, or inputs, have each degree.

    The line is the number expected of a random mask with as many edges in each group.
    """
    by_group = side_degrees(graph, side, groups)
    degrees = by_group.ravel()
    expected = expected_degrees(by_group, _cells(graph, side, groups))
    seen = np.flatnonzero(expected >= _SEEN * expected.max())
    low, high = min(degrees.min(), seen[0]), max(degrees.max(), seen[-1])
    counts = np.bincount(degrees, minlength=len(expected))
    squares = (np.arange(len(expected)) - degrees.mean()) ** 2
    spread = float(np.average(squares, weights=expected)) ** 0.5
    return histogram(
        np.arange(low, high + 2) - 0.5,
        counts[low : high + 1],
        expected[low : high + 1],
        x=f"degree of an {side[:-1]}",
        y=side,
        width=width,
        title=f"Degrees of the {side}",
        description=(
            f"{len(degrees):,} {side} have degrees from {degrees.min():,} to {degrees.max():,}, "
            f"mean {degrees.mean():.4g}, standard deviation {degrees.std():.3g}; in a random mask "
            f"the standard deviation is {spread:.3g}."
        ),
    )


def _cells(graph: Graph, side: Vertices, groups: int) -> int:
    """Return the largest degree that a vertex can have."""
    return graph.shape[1] if side == "outputs" else graph.shape[0] // groups


def side_degrees(graph: Graph, side: Vertices, groups: int) -> Degrees:
    """Return the ``(groups, vertices)`` degrees of one side."""
    if side == "outputs":
        return graph.out_degrees().reshape(groups, -1)
    return np.stack([part.in_degrees() for part in graph.split(groups)])


def expected_degrees(by_group: Degrees, cells: int) -> Floats:
    """Return the expected number of vertices of each degree from 0 to ``cells``.

    A random mask of a group of N cells takes m of them, so the degree of a vertex with n cells is
    hypergeometric: ``C(n, k) C(N - n, m - k) / C(N, m)``.
    """
    vertices = by_group.shape[1]
    total = np.zeros(cells + 1)
    for edges, many in zip(*np.unique(by_group.sum(axis=1), return_counts=True), strict=True):
        total += many * vertices * _hypergeometric(cells * vertices, int(edges), cells)
    return total


def _hypergeometric(population: int, drawn: int, marked: int) -> Floats:
    """Return the probabilities of 0 to ``marked`` marked ones, each from the ratio to the next."""
    found = np.zeros(marked + 1)
    low, high = max(0, drawn + marked - population), min(drawn, marked)
    k = np.arange(low, high, dtype=np.float64)
    ratios = (
        np.log(drawn - k)
        + np.log(marked - k)
        - np.log(k + 1)
        - np.log(population - drawn - marked + k + 1)
    )
    logs = np.concatenate([[0.0], np.cumsum(ratios)])
    shares = np.exp(logs - logs.max())
    found[low : high + 1] = shares / shares.sum()
    return found
