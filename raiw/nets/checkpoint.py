"""State dicts from files of torch.save, read without running any code in them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raiw.errors import InvalidNetwork, NotFound

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where trainers put the state dict beside that of the optimiser."""


def load_state(path: str | Path) -> Mapping[str, Tensor]:
    """Return the state dict of a file, mapped into memory where its format allows.

    Raises
    ------
    InvalidNetwork
        The file is damaged, holds no state dict, or objects that only code can rebuild.
    NotFound
        There is no such file.
    """
    if not Path(path).is_file():
        raise NotFound(f"no file {str(path)!r}")
    try:
        mapped = zipfile.is_zipfile(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever a damaged pickle leads to
        raise InvalidNetwork(
            f"{str(path)!r} is damaged, or needs its own code to be loaded, which is not run: "
            f"save the weights with torch.save(model.state_dict(), path)"
        ) from error
    while isinstance(content, Mapping):
        wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if wrapper is None:
            return {
                str(name): value for name, value in content.items() if isinstance(value, Tensor)
            }
        content = content[wrapper]
    raise InvalidNetwork(f"{str(path)!r} holds a {type(content).__name__}, not a state dict")
