"""AFIE on VGG-16 with random weights: the allocation, and how little of it the weights decide.

The paper's tables are not public. What can be shown is what its formulas give, and the control it
lacks: the same scores from shapes alone.
"""

import numpy as np

from raiw.budgets.afie import afie_score, allocate, shape_score
from raiw.reproduction.rows import Row, uncompared
from raiw.specs.layers import Conv
from raiw.specs.spec import Spec

_HALF = 0.5


def afie_shape() -> list[Row]:
    """Return score and share of every convolution, beside those of its shape alone."""
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
    why = "the tables are not public; log(min(in, out))/out gives nearly the same"
    return [
        uncompared(
            f"{name}, AFIE and share pruned at half of all filters",
            "",
            f"{scores[name]:.5f}, {shares[name]:.3f} (shape alone {shapes[name]:.5f}, "
            f"{control[name]:.3f})",
            why,
        )
        for name in shares
    ]
