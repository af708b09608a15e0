"""Singular values of a layer beside those of a random mask."""

import numpy as np

from raiw.graphs import Floats, Graph
from raiw.pictures.drawing import Drawing
from raiw.pictures.histogram import histogram
from raiw.statistics.spectrum import singular_values

LARGEST_ORDER = 1024
"""Singular values of a group's smaller side that are worth their time: under a second."""
_BARS = 40


def affordable(shape: tuple[int, int], groups: int = 1) -> bool:
    """Tell whether the spectrum of a layer takes less than about a second."""
    order = min(shape[0] // groups, shape[1])
    return groups * order**3 <= LARGEST_ORDER**3


def spectrum(graph: Graph, *, groups: int = 1, width: float = 350) -> Drawing:
    """Draw the singular values of a layer's 0/1 matrix, those of all groups together.

    The line is the law of independent edges (Marchenko and Pastur). The first value of a group,
    about the root of its degrees' product, says nothing about how edges are spread and is named,
    not drawn.
    """
    parts = list(graph.split(groups))
    values = [singular_values(part) for part in parts]
    first, rest = max(each[0] for each in values), np.concatenate([each[1:] for each in values])
    top = max(float(rest.max(initial=0.0)), _edge(parts))
    edges = np.linspace(0, top * 1.02 or 1.0, _BARS + 1)
    counts = np.histogram(rest, edges)[0].astype(np.int64)
    expected = np.sum([_law(part, edges) for part in parts], axis=0)
    second = float(rest.max(initial=0.0))
    return histogram(
        edges,
        counts,
        expected,
        x=f"singular value; the first is {first:.4g}",
        y="singular values",
        width=width,
        title="Singular values",
        description=(
            f"The first singular value is {first:.4g}, the second {second:.4g}; those of a random "
            f"mask end at about {_edge(parts):.4g}. A second near the first means parts that "
            f"hardly meet."
        ),
    )


def _law(graph: Graph, edges: Floats) -> Floats:
    """Return how many of ``min(out, in) - 1`` values the law has between ``edges``."""
    large, small = max(graph.shape), min(graph.shape)
    density = graph.edges / (large * small)
    variance = density * (1 - density)
    if small == 1 or variance == 0:
        return np.zeros(len(edges) - 1)
    low, high = variance * (large**0.5 - small**0.5) ** 2, variance * (large**0.5 + small**0.5) ** 2
    s = np.linspace(low**0.5, high**0.5, 2001)
    within = np.sqrt(np.maximum((high - s**2) * (s**2 - low), 0.0))
    weight = within / np.maximum(s, 1e-12) / (np.pi * variance * small)  # per s, not per s²
    whole = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2 * np.diff(s))])
    found: Floats = (small - 1) * np.diff(np.interp(edges, s, whole / whole[-1]))
    return found


def _edge(parts: list[Graph]) -> float:
    """Return where the law of the fullest group ends."""
    out, n_in = parts[0].shape
    densities = [part.edges / (out * n_in) for part in parts]
    spread = max(density * (1 - density) for density in densities) ** 0.5
    return float(spread * (out**0.5 + n_in**0.5))
