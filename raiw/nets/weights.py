"""A network's weights from a safetensors file."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from raiw.errors import InvalidTensors, NotFound


def load_weights(model: nn.Module, weights: str | Path, name: str) -> nn.Module:
    """Load the state dict in a file into a network; no code is run.

    Returns
    -------
    nn.Module
        The network, in evaluation mode.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidTensors
        The file is malformed, or holds NaN, infinity or the tensors of another network.
    """
    if not Path(weights).is_file():
        raise NotFound(f"no weight file {str(weights)!r}")
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
