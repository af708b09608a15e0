"""Too little memory, said in one way whatever torch says."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from raiw.errors import OutOfMemory

_SIGNS = ("not enough memory", "allocate memory", "could not create a primitive", "failed to map")
"""How PyTorch, oneDNN and the loader of libraries say on a CPU that they got no memory."""


@contextmanager
def memory_watched() -> Iterator[None]:
    """Turn torch's ways to say that memory is short into one.

    Raises
    ------
    OutOfMemory
        There is too little memory, of the machine or the GPU.
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
