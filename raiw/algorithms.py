"""The registry of crafting algorithms.

A new algorithm is one module of :mod:`raiw.crafting.algorithms` with a function ``build`` of the
signature of :class:`Build`, and one entry here that has the module's name; the command line, the
REST schema, the documentation and the contract test follow automatically. Nothing heavy is imported
until an algorithm is loaded, so the web process can read the registry.
"""

from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from raiw.crafting.built import Built
    from raiw.crafting.randomness import Stream
    from raiw.kernels.cells import Scores


class Build(Protocol):
    """Builds one bipartite graph."""

    def __call__(
        self,
        shape: tuple[int, int],
        edges: int,
        *,
        scores: "Scores | None",
        stream: "Stream",
        **options: int,
    ) -> "Built":
        """Build the graph of a layer, or of one of its groups.

        Parameters
        ----------
        shape
            ``(out, in)`` vertices, 1 or more of each.
        edges
            Edges of the graph: as many as its :class:`Contract` can have, planned beforehand.
        scores
            ``(out, in)`` scores in any unit, of float16, bfloat16, float32 or float64; no NaN, no
            +inf, and -inf forbids an edge. None where the entry does not need them.
        stream
            Random numbers of this group of this layer.
        options
            What the entry names.

        Raises
        ------
        Infeasible
            Forbidden edges leave no graph that keeps the contract.
        TooLarge
            The graph would take hours.
        MissingExtra
            An optional dependency is not installed.
        """


class Contract(StrEnum):
    """What an algorithm promises of every graph, in addition to its exact number of edges."""

    REGULAR = "regular"
    """Every degree is the floor or the ceiling of its side's mean, on both sides."""
    FAN_IN = "fan-in"
    """The same for the outputs only."""
    ONE_SIDED = "one-sided"
    """The same for the outputs if there are more inputs than outputs, else for the inputs."""
    NM = "N:M"
    """Every output keeps N of each M consecutive inputs."""
    TRANSPOSABLE_NM = "transposable N:M"
    """The same, and every input keeps N of each M consecutive outputs."""
    RADIX = "radix"
    """All degrees of a side are equal; the density is 1/q for a divisor q of both sides."""
    UNITS = "units"
    """The edges of every unit between two layers, those of both layers counted together, are the
    floor or the ceiling of their mean; the first layer's inputs and the last one's outputs too. A
    layer with an edge for each of its inputs, or outputs, leaves none without."""
    EDGES = "edges"
    """Nothing more."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What is known about an algorithm without running it."""

    name: str
    summary: str
    revision: int
    """Raised only when the same input would give other bits; part of every content key."""
    contract: Contract
    """What it promises of every graph."""
    scores: Literal["needed", "used", "ignored"]
    """What it does with importance scores; one that merely uses them draws at random without."""
    seeded: bool
    """Draws at random."""
    source: str
    """Where it is published."""
    options: tuple[str, ...] = ()
    """Further fields of :class:`raiw.specs.plan.PlannedLayer` that ``build`` takes."""
    cell_bytes: int = 0
    """Least memory that crafting takes, in bytes per cell of a layer, besides its mask."""
    by_group: bool = True
    """Builds a graph for each group of a convolution; otherwise groups may get unequal edges."""

    @property
    def regular(self) -> bool:
        """Whether it keeps the degree contract on both sides, which certificates bound."""
        return self.contract is Contract.REGULAR

    @property
    def whole(self) -> bool:
        """Whether it builds the graphs of all layers together."""
        return self.contract is Contract.UNITS

    def load(self) -> Build:
        """Import and return the function that builds one graph."""
        build: Build = import_module(f"raiw.crafting.algorithms.{self.name}").build
        return build


BOUNDS_REVISION = 4
"""Raised only when the same scores and graph would give another bound; part of the content key of
certified masks."""

RAIW = "Dong et al., Crafting Efficient Neural Graph of Large Entropy, IJCAI 2019"

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "raiw",
            "most important edges first under exact degrees",
            revision=2,
            contract=Contract.REGULAR,
            scores="needed",
            seeded=False,
            source=f"{RAIW}, Algorithm 3, with completion",
        ),
        Algorithm(
            "balanced",
            "more of the importance kept, by greedy choice net of dual prices",
            revision=3,
            contract=Contract.REGULAR,
            scores="needed",
            seeded=False,
            source="linear-programming duality of the transportation polytope",
            cell_bytes=10,
        ),
        Algorithm(
            "optimal",
            "the most importance any graph with exact degrees can keep, proven",
            revision=3,
            contract=Contract.REGULAR,
            scores="needed",
            seeded=False,
            source="minimum-cost flow; Goldberg, J. Algorithms 22, 1997",
            cell_bytes=10,
        ),
        Algorithm(
            "regular",
            "random edges between vertices of least degree",
            revision=1,
            contract=Contract.REGULAR,
            scores="ignored",
            seeded=True,
            source=f"{RAIW}, Algorithm 2, with repair",
        ),
        Algorithm(
            "random",
            "edges drawn uniformly, degrees left to chance",
            revision=1,
            contract=Contract.EDGES,
            scores="ignored",
            seeded=True,
            source=f"{RAIW}, the baseline of Figure 1a",
        ),
        Algorithm(
            "greedy",
            "each edge the one of largest entropy, for graphs of some tens of vertices",
            revision=1,
            contract=Contract.EDGES,
            scores="ignored",
            seeded=False,
            source=f"{RAIW}, Algorithm 1",
        ),
        Algorithm(
            "greedy_min",
            "each edge the one of smallest entropy, to compare with",
            revision=1,
            contract=Contract.EDGES,
            scores="ignored",
            seeded=False,
            source=f"{RAIW}, Figure 2a",
        ),
        Algorithm(
            "magnitude",
            "the most important edges of the layer, degrees left to the scores",
            revision=2,
            contract=Contract.EDGES,
            scores="needed",
            seeded=False,
            source="Han et al., Learning both Weights and Connections, NeurIPS 2015",
            cell_bytes=3,
            by_group=False,
        ),
        Algorithm(
            "constant_fan_in",
            "every output its most important inputs, or so many random ones",
            revision=2,
            contract=Contract.FAN_IN,
            scores="used",
            seeded=True,
            source="Lasby et al., Dynamic Sparse Training with Structured Sparsity, ICLR 2024",
        ),
        Algorithm(
            "expander",
            "each vertex of the smaller side draws its neighbours",
            revision=1,
            contract=Contract.ONE_SIDED,
            scores="ignored",
            seeded=True,
            source="Prabhu et al., Deep Expander Networks, ECCV 2018",
        ),
        Algorithm(
            "radix",
            "cyclic shifts of mixed radix, blown up to the widths of the layer",
            revision=1,
            contract=Contract.RADIX,
            scores="ignored",
            seeded=False,
            source="Kepner and Robinett, RadiX-Net, IPDPSW 2019",
            cell_bytes=7,
            options=("position",),
        ),
        Algorithm(
            "nm",
            "the best N of each M consecutive inputs, or random ones",
            revision=2,
            contract=Contract.NM,
            scores="used",
            seeded=True,
            source="Zhou et al., Learning N:M Fine-grained Structured Sparse Networks, ICLR 2021",
            cell_bytes=5,
            options=("m",),
        ),
        Algorithm(
            "transposable_nm",
            "the best N:M pattern along inputs and outputs at once",
            revision=2,
            contract=Contract.TRANSPOSABLE_NM,
            scores="used",
            seeded=True,
            source="Hubara et al., Accelerated Sparse Neural Training, NeurIPS 2021",
            options=("m",),
        ),
        Algorithm(
            "network",
            "one graph over all layers, the most important edges first under even units",
            revision=1,
            contract=Contract.UNITS,
            scores="needed",
            seeded=False,
            source=f"{RAIW}, Algorithm 3 over a whole network, with completion",
        ),
        Algorithm(
            "dense",
            "every edge, whatever the target of the network",
            revision=1,
            contract=Contract.REGULAR,
            scores="ignored",
            seeded=False,
            source="the complete bipartite graph",
        ),
    )
}
