"""The product of a sparse layer, in C++ (``native/``): it is compiled when raiw is installed."""

from pathlib import Path

from raiw.errors import NotCompiled

try:
    from raiw.compacting.compiled import pattern, run
except ModuleNotFoundError:
    raise NotCompiled(
        f"the C++ kernels in {Path(__file__).parent} are not compiled: run "
        f"python -m pip install -e {Path(__file__).parents[2]}"
    ) from None

__all__ = ["MOST_SHARED", "WIDEST", "pattern", "run"]

WIDEST = 16
"""Floats in the widest vectors there are; a processor uses the widest it has."""

MOST_SHARED = 8
"""Most outputs that the kernel takes together; 1, 2 and 4 work too."""
