"""Magnitude pruning: keep the edges whose weights are large beside their layer's deviation.

Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks, NIPS 2015.
The paper thresholds single weights at a quality factor times the standard deviation of the layer's
weights, and retrains what is left. An edge of a convolution is a filter here: its root mean square
takes the weight's place.
"""

import math
from collections.abc import Mapping

from torch import nn

from raiw.errors import InvalidInput
from raiw.importance.scored_model import edges_of, layers_to_score
from raiw.importance.scoring import score
from raiw.masks import MaskSet
from raiw.names import nearest
from raiw.pipeline import craft_masks
from raiw.specs.spec import Spec


def prune_weights(
    model: nn.Module, quality: float = 1.0, layers: Mapping[str, float] | None = None
) -> MaskSet:
    """Return the masks of the edges above ``quality`` standard deviations of their layer.

    Parameters
    ----------
    model
        A trained network; it is left as it is. Hold the masks with :func:`raiw.apply`, retrain,
        and prune again if more is to go.
    quality
        The factor of every layer: larger keeps less.
    layers
        Factors of single layers by name, as a sensitivity analysis gives them; 0 keeps all.

    Raises
    ------
    InvalidInput
        A factor is negative or no number, or a layer is unknown.

    Examples
    --------
    >>> import torch
    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0, -0.1], [0.1, -1.0]]))
    >>> prune_weights(net, 1.0)["0"].numpy().astype(int)
    array([[1, 0],
           [0, 1]])
    """
    known = {layer.name: layer for layer in layers_to_score(model)}
    factors = dict.fromkeys(known, quality) | dict(layers or {})
    for name, factor in factors.items():
        if name not in known:
            raise InvalidInput(f"the model has no layer {name!r}{nearest(name, list(known))}")
        if not 0 <= factor < math.inf:
            raise InvalidInput(f"quality {factor} of layer {name!r}: give 0 or more")
    norms = score(model, method="magnitude", taps="l2")
    rules = []
    for name, layer in known.items():
        values = edges_of(layer, layer.weight)
        threshold = factors[name] * float(values.std()) * math.sqrt(values.shape[2])
        kept = int((norms[name] > threshold).sum()) if factors[name] else norms[name].size
        rules.append({"match": name, "edges": kept})
    return craft_masks(Spec.from_model(model, algorithm="magnitude", rules=rules), norms)
