"""Importance files: how much a network needs each edge, layer by layer.

``fit`` tells from a safetensors header alone whether a file fits a spec and imports no numpy;
``importance`` gives the scores of one layer at a time; :func:`combine` makes one score of several.
"""

from typing import TYPE_CHECKING, Any

from raiw.extras import load

if TYPE_CHECKING:
    from raiw.scores.combining import combine

__all__ = ["combine"]

NORMALISATIONS = ("sum", "rank", "std")
"""How the scores of a layer are put on a common scale before they are added, the default first."""
COMBINING_REVISION = 1
"""Raised only when the same scores would be combined to others."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'raiw.scores' has no attribute {name!r}")
    return getattr(load("raiw.scores.combining"), name)
