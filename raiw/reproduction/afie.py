"""AFIE on VGG-16 with random weights: the allocation, and how little of it the weights decide.

The paper's tables are not public. What can be shown is what its formulas give, and the control it
lacks: the same scores from shapes alone.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from raiw.budgets.afie import afie_score, allocate, shape_score
from raiw.pictures.drawing import headed
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import Look
from raiw.pictures.panels import panels
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, uncompared
from raiw.specs.layers import Conv
from raiw.specs.spec import Spec

_HALF = 0.5
_AFIE, _SHAPE = Look("series-1", "circle"), Look("series-2", "square")
_WHY = "the tables are not public; log(min(in, out))/out gives nearly the same"


@dataclass(frozen=True, slots=True)
class Scored:
    """A convolution, its scores, and the shares of filters that they would remove."""

    name: str
    afie: float
    shape_alone: float
    share: float
    share_by_shape: float


@cache
def scored() -> tuple[Scored, ...]:
    """Return every convolution of VGG-16 with random weights, seed 0, at half of all filters."""
    layers = [
        layer
        for layer in Spec.parse({"model": "vgg16-cifar10", "craft": {"density": 1.0}}).layers
        if isinstance(layer, Conv)
    ]
    random = np.random.default_rng(0)
    scores, shapes = {}, {}
    for layer in layers:
        out, n_in = layer.graph_shape
        weight = random.standard_normal(layer.weight_shape) * np.sqrt(2 / (n_in * layer.taps))
        scores[layer.name] = afie_score(weight)
        shapes[layer.name] = shape_score(out, n_in)
    filters = {layer.name: layer.out_channels for layer in layers}
    shares = allocate(scores, filters, _HALF)
    control = allocate(shapes, filters, _HALF)
    return tuple(
        Scored(name, scores[name] or 0.0, shapes[name], shares[name], control[name])
        for name in shares
    )


def afie_shape() -> list[Row]:
    """Return score and share of every convolution, beside those of its shape alone."""
    return [
        uncompared(
            f"{layer.name}, AFIE and share pruned at half of all filters",
            "",
            f"{layer.afie:.5f}, {layer.share:.3f} (shape alone {layer.shape_alone:.5f}, "
            f"{layer.share_by_shape:.3f})",
            _WHY,
        )
        for layer in scored()
    ]


def draw_afie_shape() -> list[Picture]:
    """Draw both scores by layer, and the shares of filters that they remove."""
    drawings = [
        line_chart(
            [
                Line(
                    name=name, points=points, look=look, marked=look is _AFIE, dashed=look is _SHAPE
                )
                for name, points, look in (
                    ("AFIE", _by_layer([pair[0] for pair in pairs]), _AFIE),
                    ("shape alone", _by_layer([pair[1] for pair in pairs]), _SHAPE),
                )
            ],
            x="convolution of VGG-16, from the input",
            y=y,
            title=title,
            description=f"They differ by {_apart(pairs):.1%} at most.",
            whole=True,
        )
        for title, y, pairs in (
            (
                "Score of a layer",
                "nats a filter",
                _scores(),
            ),
            (
                "Filters to remove",
                "% of the layer's filters, half of all",
                [(100 * layer.share, 100 * layer.share_by_shape) for layer in scored()],
            ),
        )
    ]
    records: list[DataRow] = [
        {
            "layer": layer.name,
            "afie": round(layer.afie, 9),
            "shape_alone": round(layer.shape_alone, 9),
            "share_removed": round(layer.share, 9),
            "share_removed_by_shape": round(layer.share_by_shape, 9),
        }
        for layer in scored()
    ]
    return [
        Picture.of(
            "afie-shape",
            panels([[headed(each, each.title) for each in drawings]], title="AFIE of VGG-16"),
            records,
            "AFIE of VGG-16 with random weights, and from shapes alone",
            "The weights are random, of no training. Shape alone is ln min(in, out) / out; the two "
            f"scores differ by {_apart(_scores()):.1%} at most.",
        )
    ]


def _scores() -> list[tuple[float, float]]:
    return [(layer.afie, layer.shape_alone) for layer in scored()]


def _by_layer(values: list[float]) -> list[tuple[float, float]]:
    return [(float(place), value) for place, value in enumerate(values, 1)]


def _apart(pairs: list[tuple[float, float]]) -> float:
    return max(abs(one - other) / other for one, other in pairs)
