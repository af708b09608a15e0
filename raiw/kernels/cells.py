"""Scores as the kernels read them."""

import ml_dtypes
import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
"""``(out, in)`` scores: float16, bfloat16 (of ml_dtypes), float32 or float64."""

_NATIVE = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)


def as_native(scores: Scores) -> Scores:
    """Return the scores contiguous by rows, copied only if they are not, or not native.

    Their address may be any: a tensor of a file starts where it starts.
    """
    own = scores.dtype.newbyteorder("=")
    return np.ascontiguousarray(scores, own if own in _NATIVE else np.float64)


def as_wide(scores: Scores) -> Scores:
    """Return the scores as float32 or float64, contiguous by rows; 16-bit ones are copied."""
    native = as_native(scores)
    return native.astype(np.float32) if native.itemsize == np.float16().itemsize else native


def cells(scores: Scores) -> npt.NDArray[np.generic]:
    """Return native scores as a buffer for the kernels: bfloat16, which buffers lack, as uint16."""
    return scores.view(np.uint16) if scores.dtype == ml_dtypes.bfloat16 else scores
