"""The inner loops, in C++ (``native/``), compiled when raiw is installed.

Raises
------
NotCompiled
    This is a source tree whose kernels were never built.
"""

from pathlib import Path

from raiw.errors import NotCompiled

try:
    from raiw.kernels.compiled import *  # noqa: F403 -- the stub lists them
except ModuleNotFoundError:
    raise NotCompiled(
        f"the C++ kernels in {Path(__file__).parent} are not compiled: run "
        f"python -m pip install -e {Path(__file__).parents[2]}"
    ) from None
