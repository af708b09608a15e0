"""Weights of a network from a safetensors file."""

from pathlib import Path

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
        The file is malformed, or holds the tensors of another network.
    """
    if not Path(weights).is_file():
        raise NotFound(f"no weight file {str(weights)!r}")
    model = build(name)
    try:
        model.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise InvalidTensors(
            f"{str(weights)!r} does not hold the weights of {name!r}: {error}"
        ) from None
    return model.eval()
