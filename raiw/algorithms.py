"""The registry of crafting algorithms.

A new algorithm is one function with the signature of :class:`Build` and one entry here; the
command line, the REST schema, the documentation and the contract test follow by themselves.
Nothing heavy is imported until an algorithm is loaded, so the web process can read the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Build = Callable[..., Any]
"""``build(shape, edges, *, scores, stream) -> raiw.crafting.Built``, one bipartite graph:
``scores`` is None or an ``(out, in)`` float array, ``stream`` a
:class:`raiw.crafting.randomness.Stream`."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What is known of an algorithm without running it."""

    name: str
    summary: str
    revision: int
    """Raised only when the same input would give other bits; part of every content key."""
    scored: bool
    """Needs importance scores."""
    seeded: bool
    """Draws at random."""
    regular: bool
    """Keeps the degree contract: every degree floor or ceiling of its side's mean."""
    source: str
    """Where it is published."""
    module: str
    """Module whose function ``build`` does the work."""

    def load(self) -> Build:
        """Import and return the function that builds one graph."""
        build: Build = import_module(self.module).build
        return build


RAIW = "Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019"

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "raiw",
            "most important edges first under exact degrees",
            revision=1,
            scored=True,
            seeded=False,
            regular=True,
            source=f"{RAIW}, Algorithm 3, with completion",
            module="raiw.crafting.greedy",
        ),
        Algorithm(
            "balanced",
            "more of the importance kept, by greedy choice net of dual prices",
            revision=1,
            scored=True,
            seeded=False,
            regular=True,
            source="linear-programming duality of the transportation polytope",
            module="raiw.crafting.balanced",
        ),
        Algorithm(
            "optimal",
            "the most importance any graph with exact degrees can keep, proven",
            revision=1,
            scored=True,
            seeded=False,
            regular=True,
            source="minimum-cost flow; Goldberg, J. Algorithms 22, 1997",
            module="raiw.crafting.optimal",
        ),
        Algorithm(
            "regular",
            "random edges between vertices of least degree",
            revision=1,
            scored=False,
            seeded=True,
            regular=True,
            source=f"{RAIW}, Algorithm 2, with repair",
            module="raiw.crafting.regular",
        ),
        Algorithm(
            "random",
            "edges drawn uniformly, degrees left to chance",
            revision=1,
            scored=False,
            seeded=True,
            regular=False,
            source=f"{RAIW}, the baseline of Figure 1a",
            module="raiw.crafting.uniform",
        ),
        Algorithm(
            "greedy",
            "each edge the one of largest entropy, for graphs of some tens of vertices",
            revision=1,
            scored=False,
            seeded=False,
            regular=False,
            source=f"{RAIW}, Algorithm 1",
            module="raiw.crafting.entropy_greedy",
        ),
        Algorithm(
            "greedy_min",
            "each edge the one of smallest entropy, to compare with",
            revision=1,
            scored=False,
            seeded=False,
            regular=False,
            source=f"{RAIW}, Figure 2a",
            module="raiw.crafting.entropy_greedy_min",
        ),
        Algorithm(
            "dense",
            "every edge, whatever the target of the network",
            revision=1,
            scored=False,
            seeded=False,
            regular=True,
            source="the complete bipartite graph",
            module="raiw.crafting.dense",
        ),
    )
}
