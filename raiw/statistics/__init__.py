"""Statistics of a layer's graph: degrees, connectivity, von Neumann entropy, expansion, paths.

:func:`describe` gives the exact facts in every mask file; :func:`measure` adds what
needs the spectrum; :func:`count_paths` follows the edges through consecutive layers.
"""

from raiw.statistics.facts import DegreeRange, LayerFacts, describe
from raiw.statistics.layer import LayerStatistics, measure
from raiw.statistics.paths import PathCounts, count_paths

__all__ = [
    "DegreeRange",
    "LayerFacts",
    "LayerStatistics",
    "PathCounts",
    "count_paths",
    "describe",
    "measure",
]
