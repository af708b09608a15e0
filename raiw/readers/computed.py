"""Weights that a module computes: which parameter a mask can be held on, if any."""

import copy
from typing import Any

from raiw.readers.module_layer import ModuleLayer

_REALS = ("float16", "bfloat16", "float32", "float64")
_MAKERS = {"_mask": "torch.nn.utils.prune", "_u": "torch.nn.utils.spectral_norm"}
"""Who keeps the original of a weight as ``<weight>_orig``, by the buffer that goes with it."""


def held_at(module: Any, attribute: str) -> tuple[Any, str] | str:
    """Return the module and the name of the parameter that stands for a weight, or why none does.

    The reason is empty where the module does without that weight. Zeros in a parameter, or in the
    direction that weight norm scales, are zeros of the weight. The weight itself is never read:
    computing it may change the module, as spectral norm does.
    """
    own = dict(module.named_parameters(recurse=False))
    if attribute in own:
        return module, attribute
    parametrized = getattr(module, "parametrizations", None)
    if parametrized is not None and attribute in parametrized:
        makers = [type(maker).__name__.strip("_") for maker in parametrized[attribute]]
        if makers == ["WeightNorm"]:
            return parametrized[attribute], "original1"
        return f"its weight is computed by the parametrization {' and '.join(makers)}"
    if {f"{attribute}_g", f"{attribute}_v"} <= own.keys():
        return module, f"{attribute}_v"
    if vars(module).get("_parameters", {}).get(attribute, module) is None:
        return ""
    buffers = dict(module.named_buffers(recurse=False))
    maker = next((maker for end, maker in _MAKERS.items() if attribute + end in buffers), None)
    return f"its weight is computed by {maker}" if maker else "its weight is not a parameter"


def unfit(weight: Any) -> str:
    """Return why a parameter can be no layer's weight, or nothing where it can.

    Packed weights, as of 4-bit layers, have neither the layer's shape nor numbers of their own.
    """
    kind = str(weight.dtype).removeprefix("torch.")
    if kind not in _REALS:
        return f"its weight is {kind}; masks and scores are for {', '.join(_REALS)}"
    if not weight.numel():
        return "its weight has no element"
    if any(not step and side > 1 for step, side in zip(weight.stride(), weight.shape, strict=True)):
        return "elements of its weight share memory: clone it"
    return ""


def reads_zeros(layer: ModuleLayer) -> bool:
    """Whether an edge of weight zero carries nothing through a linear layer or convolution.

    A class of its own may use the weight in its own way; weight standardisation makes a number of
    every zero. A copy of the module with other weights is tried on two inputs that differ where
    only the edge leads from.

    Raises
    ------
    Exception
        The module cannot be tried: whatever it raises.
    """
    twin = copy.deepcopy(layer.module).to_empty(device="cpu").float().eval()
    for tensor in (*twin.parameters(), *twin.buffers()):
        if tensor.is_floating_point():
            values = tensor.detach()
            counted = values.new_ones(values.numel()).cumsum(0)
            values.copy_(counted.remainder(7).add(1).view_as(values))
    weight = getattr(twin, layer.attribute).detach()
    weight[0, 0] = 0
    inputs = layer.document.get("in_features") or layer.document["in_channels"]
    dilation = getattr(twin, "dilation", (1,) * (weight.dim() - 2))
    sides = (taps * step + 1 for taps, step in zip(weight.shape[2:], dilation, strict=True))
    one = weight.new_ones((1, inputs, *sides))
    other = one.clone()
    other[:, 0] = 3
    outputs = [twin(given).detach()[:, 0] for given in (one, other)]
    return bool((outputs[0] == outputs[1]).all())
