"""Statistics of a layer's graph: degrees, connectivity, von Neumann entropy, expansion.

:func:`describe` gives the exact facts that stand in every mask file; :func:`measure` adds what
needs the spectrum.
"""

from raiw.statistics.layer import DegreeRange, LayerFacts, LayerStatistics, describe, measure

__all__ = ["DegreeRange", "LayerFacts", "LayerStatistics", "describe", "measure"]
