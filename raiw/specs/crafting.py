"""What to craft: the algorithm, the target and the rules for single layers."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from raiw.algorithms import ALGORITHMS
from raiw.specs.document import WHOLE, Document
from raiw.specs.limits import AtMost

MAX_EDGES = (1 << 31) - 1
"""Most edges of one layer: vertex and edge numbers stay 32-bit."""

MAX_RULES = 20_000
"""Most rules of a spec: one for each layer, as a shared budget leaves them, and as many besides."""

MAX_M = 32
"""Most consecutive vertices of an N:M pattern."""

Degree = Annotated[int, Field(ge=0, strict=True), WHOLE]
Density = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, strict=True)]
Edges = Annotated[int, Field(ge=0, strict=True), WHOLE]
Parameters = Annotated[int, Field(ge=0, strict=True), WHOLE]
EdgesOfM = Annotated[int, Field(ge=0, le=MAX_M, strict=True), WHOLE]
KeptLayers = Annotated[int, Field(ge=0, le=MAX_EDGES, strict=True), WHOLE]
GroupSize = Annotated[int, Field(ge=1, le=1 << 16, strict=True), WHOLE]

BoundKind = Literal["quick", "tight"]
"""How far the descent of a bound goes."""

LAYER_TARGETS = ("degree", "density", "edges", "n", "dense")
"""Of these a rule gives one."""
TARGETS = ("degree", "density", "edges", "n", "parameters", "flops")
"""Of these ``craft`` gives one, for all layers."""


class Rule(Document):
    """A target for the layers whose name matches a glob; the last matching rule wins."""

    newer: ClassVar[frozenset[str]] = frozenset({"group_inputs"})

    match: Annotated[str, Field(min_length=1, max_length=200)]
    """Glob over layer names: ``features.*``, ``conv[1-3]``, ``fc?``; case counts."""
    degree: Degree | None = None
    """Edges of every input vertex."""
    density: Density | None = None
    """Kept edges over all edges of the layer."""
    edges: Edges | None = None
    """Edges of the layer, all its groups together."""
    n: EdgesOfM | None = None
    """Edges of each ``m`` consecutive inputs, for the N:M algorithms."""
    dense: Annotated[Literal[True], BeforeValidator(lambda value: value is True)] | None = None
    """Keep every edge."""
    group_outputs: GroupSize | None = None
    """As in ``craft``, for these layers; may stand without a target."""
    group_inputs: GroupSize | None = None
    """As in ``craft``, for these layers; may stand without a target."""
    note: Annotated[str, Field(max_length=200)] = ""
    """Why, for people; it changes no mask."""

    @model_validator(mode="after")
    def _one_target(self) -> "Rule":
        given = [target for target in LAYER_TARGETS if getattr(self, target) is not None]
        if len(given) > 1 or not (given or self.group_outputs or self.group_inputs):
            got = " and ".join(given) if given else "none"
            raise ValueError(
                f"a rule needs exactly one of {', '.join(LAYER_TARGETS)}; this one has {got}"
            )
        return self

    @property
    def has_target(self) -> bool:
        """Whether the rule decides the edges of its layers."""
        return any(getattr(self, target) is not None for target in LAYER_TARGETS)


class Craft(Document):
    """The algorithm, its seed and the target of every layer."""

    newer: ClassVar[frozenset[str]] = frozenset(
        {"group_inputs", "keep_first", "keep_last", "min_fan_in"}
    )

    algorithm: Annotated[str, Field(max_length=100)] | None = None
    """A name of the registry. Left out: ``raiw`` with importance scores, ``regular`` without."""
    seed: Annotated[int, Field(ge=0, lt=1 << 64, strict=True), WHOLE] = 0
    """Seed of what is drawn at random: without scores all edges, with them the order of equals."""
    degree: Degree | None = None
    """Edges of every input vertex, in every layer."""
    density: Density | None = None
    """Kept edges over all edges, in every layer."""
    edges: Edges | None = None
    """Edges of every layer."""
    n: EdgesOfM | None = None
    """Edges of each ``m`` consecutive inputs, for the N:M algorithms."""
    m: Annotated[int, Field(ge=1, le=MAX_M, strict=True), WHOLE] = 4
    """The M of the N:M algorithms; it divides the inputs (and outputs) of every sparse layer."""
    parameters: Parameters | None = None
    """Weights kept in the whole network, rules and dense layers included."""
    flops: Parameters | None = None
    """Operations of the whole network for one input, rules and dense layers included: two for each
    weight kept and each of its layer's ``positions``."""
    allocation: Literal["uniform", "erk", "degree"] | None = None
    """How ``density``, ``parameters`` or ``flops`` is shared among the layers that no rule decides:
    ``uniform`` one density, ``erk`` (Erdős-Rényi-Kernel) more of it to smaller layers, ``degree``
    the same degree for every input vertex, as in RAIW's Table 4; dense at most. ``density`` then
    counts the weights of these layers together, instead of each layer's edges."""
    group_outputs: GroupSize = 1
    """So many consecutive outputs share one set of inputs: they are one vertex of the graph that
    is crafted, whose score is the sum of theirs. Targets still count edges of single outputs."""
    group_inputs: GroupSize = 1
    """So many consecutive inputs are read by the same outputs: one vertex, as with
    ``group_outputs``. With both, the mask keeps whole blocks of edges."""
    keep_first: KeptLayers = 0
    """So many of the spec's first layers stay dense, whatever target and rules say."""
    keep_last: KeptLayers = 0
    """So many of the spec's last layers stay dense, whatever target and rules say."""
    min_fan_in: Degree = 0
    """Fewest input edges of every output: a layer whose target is less gets as many edges as that
    takes, at most all. A total for the network counts them. Only for algorithms that share the
    edges of a layer evenly among its outputs."""
    certify: Annotated[bool, Field(strict=True)] | Literal["tight"] = True
    """Bound the score that any graph could keep, so that the masks tell how good they are. It costs
    about as much as crafting. ``tight`` goes on until the bound stops falling, and proves optimal
    graphs optimal: tens of reads of the scores."""
    rules: Annotated[tuple[Rule, ...], AtMost(MAX_RULES)] = ()
    """Exceptions by layer name."""

    @model_validator(mode="after")
    def _consistent_targets(self) -> "Craft":
        given = [target for target in TARGETS if getattr(self, target) is not None]
        if len(given) > 1:
            raise ValueError(
                f"give one target, not {' and '.join(given)}; rules can differ for single layers"
            )
        most = max(self.n or 0, *(rule.n or 0 for rule in self.rules), 0)
        if most > self.m:
            raise ValueError(f"n={most} of each m={self.m} cannot be kept; the most is n={self.m}")
        if self.allocation is not None and not {"density", "parameters", "flops"} & {*given}:
            raise ValueError(
                f"allocation {self.allocation!r} shares a total among layers: give density, "
                f"parameters or flops with it"
            )
        return self

    def keeps_dense(self, position: int, layers: int) -> bool:
        """Whether the layer at a position, of so many, is one of the first or last kept dense."""
        return position < self.keep_first or position >= layers - self.keep_last

    def certificate(self, algorithm: str) -> BoundKind | None:
        """Return the kind of bound that scored masks of an algorithm get, None where they get none.

        Only the degree contract on both sides has one.
        """
        if not (self.certify and ALGORITHMS[algorithm].regular):
            return None
        return "tight" if self.certify == "tight" else "quick"


class ImportanceReading(Document):
    """How the attached importance file is read."""

    method: Literal["scores", "magnitude"] = "scores"
    """``scores``: the file holds scores, ``(out, in)`` or the weight's own shape.
    ``magnitude``: it holds weights, and an edge's score is the sum of ``|w|`` over its taps."""
