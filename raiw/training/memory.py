"""One error for all the ways in which torch reports too little memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from raiw.errors import OutOfMemory

_SIGNS = ("not enough memory", "allocate memory", "could not create a primitive", "failed to map")
"""What PyTorch, oneDNN and the dynamic loader say on a CPU when memory runs out."""


@contextmanager
def memory_watched() -> Iterator[None]:
    """Turn torch's errors about memory into one.

    Raises
    ------
    OutOfMemory
        The machine or the GPU has too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ImportError) as error:
        words = str(error) or "no memory"
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(sign in words for sign in _SIGNS):
            raise
        raise OutOfMemory(
            f"there is too little memory for this run ({words.strip().splitlines()[0]}): use a "
            f"smaller batch or fewer samples, or a larger machine"
        ) from None
