"""How kernels are compiled: plain Python source, without the GIL, cached on disk where possible."""

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel; where no cache directory can be written, compile anew in each process."""
    try:
        compiled: Callable[..., Any] = numba.njit(function, nogil=True, cache=True)
    except RuntimeError:
        compiled = numba.njit(function, nogil=True)
    return compiled
