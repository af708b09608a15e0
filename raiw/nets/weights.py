"""Weights of a network from a safetensors file."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from raiw.errors import InvalidTensors, NotFound
from raiw.nets.registry import build


def trained(name: str, weights: str | Path) -> nn.Module:
    """Return a network of the catalogue with weights from a file, in evaluation mode.

    The file holds the state dict of :func:`raiw.nets.registry.build`'s module. No code of it is
    run.

    Raises
    ------
    NotFound
        There is no such network or file.
    InvalidTensors
        The file is malformed, or holds NaN, infinity or the tensors of another network.
    """
    if not Path(weights).is_file():
        raise NotFound(f"no weight file {str(weights)!r}")
    model = build(name)
    fault = f"{str(weights)!r} does not hold the weights of {name!r}"
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise InvalidTensors(f"{fault}: {error}") from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidTensors(f"{fault}: {error}") from None
    for tensor, values in model.state_dict().items():
        if not torch.isfinite(values).all():
            raise InvalidTensors(f"tensor {tensor!r} of {str(weights)!r} holds NaN or infinity")
    return model.eval()
