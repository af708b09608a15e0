"""What a model costs, dense and with masks: the plan of the spec that is read from it."""

from dataclasses import dataclass

from torch import nn

from raiw.applying.places import find_places, kept_by_parameter
from raiw.errors import InvalidSpec
from raiw.masks import MaskSet
from raiw.readers.modules import read_module
from raiw.specs.plan import Plan
from raiw.specs.spec import Spec


@dataclass(frozen=True, slots=True)
class Counts:
    """Weights and operations of a model's layers, kept and in all."""

    weights: int
    dense_weights: int
    flops: int
    """Operations for one input, two a weight kept and position."""
    dense_flops: int


def count(model: nn.Module, masks: MaskSet | None, input_size: tuple[int, ...]) -> Counts:
    """Count the weights of a model and its operations for one input of ``input_size``.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1))
    >>> count(net, None, (1, 4, 4))
    Counts(weights=72, dense_weights=72, flops=2304, dense_flops=2304)

    Raises
    ------
    InvalidSpec
        The model has no linear layer and no convolution, or does not run on such an input.
    InvalidInput
        A mask does not fit.
    """
    layers = read_module(model, input_size)
    if not layers:
        raise InvalidSpec("the model has no linear layer and no convolution")
    kept = kept_by_parameter(find_places(model, masks, strict=True) if masks else ())
    used = {layer.name for layer in layers if layer.positions}
    rules = [
        {"match": layer.name, "edges": int(layer.own(kept[id(layer.weight)]).sum())}
        for layer in layers
        if id(layer.weight) in kept
    ]
    documents = [layer.to_document() for layer in layers]
    sparse, dense = (
        Spec.of_layers(documents, {"density": 1.0, "rules": wanted}).plan()
        for wanted in (rules, [])
    )
    return Counts(sparse.weights, dense.weights, _flops(sparse, used), _flops(dense, used))


def _flops(plan: Plan, used: set[str]) -> int:
    """Add up the operations of the layers that the model calls."""
    return sum(layer.flops or 0 for layer in plan.layers if layer.name in used)
