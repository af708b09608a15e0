"""Whether masks are what they claim to be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting.bounds.certificate import certify_layer
from raiw.crafting.contracts import breach
from raiw.crafting.groups import group_graphs, in_blocks
from raiw.crafting.ties import tied_edges
from raiw.crafting.units import unit_fault
from raiw.errors import GateFailed, InvalidInput, InvalidSpec
from raiw.kernels.cells import Scores
from raiw.kernels.exact import kept_score
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet, load
from raiw.scores.importance import Importance, open_importance
from raiw.specs.crafting import BoundKind, ImportanceReading
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec
from raiw.statistics import describe

_OLDER_BOUNDS = 1e-3
"""An older raiw found its bounds by another descent: they may lie so much lower."""


@dataclass(frozen=True, slots=True)
class Check:
    """One law, and every breach of it."""

    name: str
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the law holds."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What :func:`verify` found."""

    digest: str
    """The content digest, computed from the bits."""
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    @property
    def faults(self) -> list[str]:
        """Every breach, in the order of the checks."""
        return [fault for check in self.checks for fault in check.faults]

    def require(self) -> None:
        """Raise :class:`raiw.errors.GateFailed` unless every check holds."""
        if not self.ok:
            more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
            raise GateFailed(f"{self.faults[0]}{more}", report=self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable values."""
        checks = [asdict(check) | {"ok": check.ok} for check in self.checks]
        return {"ok": self.ok, "digest": self.digest, "checks": checks}


def verify(
    masks: MaskSet | str | Path | bytes,
    spec: Spec | Mapping[str, Any] | str | Path | None = None,
    importance: Importance | Mapping[str, Any] | str | Path | None = None,
) -> VerificationReport:
    """Check masks against their own claims, and against a spec and scores where given.

    The checks are: ``digest``, the bits are those that were digested; ``facts``, the statistics
    in the file are the bits' own; ``edges``, every layer has the edges asked for; ``contract``,
    algorithm, seed and the edges of every group's graph are those of the spec in the file, and the
    graph is what the algorithm promises (:class:`raiw.algorithms.Contract`); ``claims``, what the
    file says of scores can be true; ``spec``, the contract of the given spec holds too;
    ``importance``, the scores are those the masks were crafted from, and what the layers keep of
    them is what the masks say; ``certificates``, the bound that no graph can exceed, found anew
    from the scores, is not above what the masks say.

    Masks whose own spec cannot be crafted fail ``contract``, and no check comes after it. How many
    edges were completed is the crafter's word: only crafting anew tells.

    Raises
    ------
    InvalidMasks
        A file is so damaged that there is nothing to check.

    Examples
    --------
    >>> import raiw
    >>> raiw.verify(raiw.craft("raiw/vgg16-d16"), spec="raiw/vgg16-d16").ok
    True
    """
    if not isinstance(masks, MaskSet):
        masks = load(masks, verify=False)
    claimed = masks.claimed_digest or masks.digest
    wrong = (
        () if claimed == masks.digest else (f"the bits digest to {masks.digest}, not {claimed}",)
    )
    checks = [
        Check("digest", wrong),
        _over_layers("facts", masks, _facts_fault),
        _over_layers("edges", masks, _edges_fault),
    ]
    try:
        own = masks.spec
        own.plan(scored=masks.importance is not None)
    except InvalidInput as error:
        fault = f"the spec in the file cannot be crafted: {error.message}"
        return VerificationReport(masks.digest, (*checks, Check("contract", (fault,))))
    checks.append(Check("contract", tuple(_spec_faults(masks, own, "its spec"))))
    checks.append(Check("claims", tuple(_claim_faults(masks))))
    if spec is not None:
        checks.append(Check("spec", tuple(_spec_faults(masks, Spec.of(spec), "the spec"))))
    if importance is not None:
        opened = open_importance(importance, own)
        checks.append(Check("importance", tuple(_importance_faults(masks, opened))))
        checks.append(Check("certificates", tuple(_certificate_faults(masks, opened))))
    return VerificationReport(masks.digest, tuple(checks))


def _over_layers(name: str, masks: MaskSet, fault: Callable[[Mask], str | None]) -> Check:
    faults = ((mask, fault(mask)) for mask in masks.values())
    return Check(name, tuple(f"layer {mask.name!r}: {text}" for mask, text in faults if text))


def _facts_fault(mask: Mask) -> str | None:
    found, claimed = describe(mask.graph, mask.groups), mask.facts
    if found == claimed:
        return None
    return f"its statistics are {found.to_json()}, the file says {claimed.to_json()}"


def _edges_fault(mask: Mask) -> str | None:
    edges = mask.graph.edges
    return None if edges == mask.requested else f"{edges} edges, {mask.requested} were asked for"


def _spec_faults(masks: MaskSet, spec: Spec, whose: str) -> Iterator[str]:
    try:
        plan = spec.plan(scored=masks.importance is not None)
    except InvalidSpec as error:
        yield error.message
        return
    if plan.algorithm != masks.algorithm:
        yield f"crafted by {masks.algorithm!r}, {whose} asks for {plan.algorithm!r}"
    elif ALGORITHMS[plan.algorithm].seeded and spec.craft.seed != masks.seed:
        yield f"crafted with seed {masks.seed}, {whose} asks for {spec.craft.seed}"
    readings = [(one.importance or ImportanceReading()).method for one in (masks.spec, spec)]
    if masks.importance is not None and readings[0] != readings[1]:
        yield f"crafted from importance read as {readings[0]}, {whose} asks for {readings[1]}"
    planned = {layer.name: layer for layer in plan.layers}
    for name in (*masks, *(name for name in planned if name not in masks)):
        if name not in planned or name not in masks:
            yield f"layer {name!r} is in {'the masks' if name in masks else whose} only"
            continue
        fault = _plan_fault(masks[name], planned[name], whose)
        if fault is not None:
            yield f"layer {name!r}: {fault}"
    same = {name: one.layer for name, one in planned.items()} == {
        name: mask.layer for name, mask in masks.items()
    }
    if ALGORITHMS[plan.algorithm].whole and same and len(masks) > 1:
        fault = unit_fault(plan.layers, [masks[name].graph for name in planned])
        if fault is not None:
            yield fault


def _plan_fault(mask: Mask, planned: PlannedLayer, whose: str) -> str | None:
    """Return how a mask differs from what was planned."""
    if mask.layer != planned.layer:
        return f"crafted for {mask.layer!r}, {whose} has {planned.layer!r}"
    if mask.graph.edges != planned.edges:
        return f"{mask.graph.edges} edges, {whose} asks for {planned.edges}"
    crafted = [*group_graphs(planned, mask.graph)]
    bits = np.concatenate([graph.bits for graph in crafted])
    if not np.array_equal(in_blocks(planned, bits).bits, mask.graph.bits):
        return f"its edges are not whole blocks of {planned.block}"
    graphs, together = zip(crafted, planned.group_edges, strict=True), planned.block.edges
    for group, (graph, edges) in enumerate(graphs):
        if graph.edges != edges:
            return f"group {group}: {together * graph.edges} edges, its share is {together * edges}"
        fault = breach(planned.contract, graph, planned.m)
        if fault is not None:
            return f"group {group}: {fault}"
    return None


def _claim_faults(masks: MaskSet) -> Iterator[str]:
    for mask in masks.values():
        kept, bound = mask.kept_score, mask.upper_bound
        if masks.importance is None and (kept, bound) != (None, None):
            yield f"layer {mask.name!r}: claims a score of {kept}, but was crafted from no scores"
        elif bound is None:
            continue
        elif not _certified(masks):
            yield f"layer {mask.name!r}: claims a bound of {bound}, but its spec certifies none"
        elif masks.origin.certificate not in (None, _certified(masks)):
            yield (
                f"layer {mask.name!r}: claims a {masks.origin.certificate} bound, its spec asks "
                f"for a {_certified(masks)} one"
            )
        elif kept is None or kept > bound:
            yield f"layer {mask.name!r}: claims a score of {kept} under a bound of {bound}"


def _certified(masks: MaskSet) -> BoundKind | None:
    """Return the kind of bound that the spec asks for."""
    return masks.spec.craft.certificate(masks.spec.algorithm(scored=True))


def _importance_faults(masks: MaskSet, importance: Importance) -> Iterator[str]:
    if importance.digest != masks.importance:
        yield f"crafted from {masks.importance or 'no scores'}, these are {importance.digest}"
    if importance.provenance not in (None, masks.origin.scored_by):
        yield f"scored by {masks.origin.scored_by}, these scores by {importance.provenance}"
    for planned in masks.spec.plan(scored=True).layers:
        scores = importance.scores(planned)
        mask = masks[planned.name]
        kept = None if scores is None else kept_score(mask.graph, scores)
        if kept != mask.kept_score:
            yield f"layer {mask.name!r}: keeps a score of {kept}, the masks say {mask.kept_score}"
        if mask.tied and (scores is None or tied_edges(mask.graph, scores) != mask.tied):
            yield f"layer {mask.name!r}: not {mask.tied} edges were drawn among equal scores"


def _certificate_faults(masks: MaskSet, importance: Importance) -> Iterator[str]:
    if not _certified(masks):
        return
    older = masks.origin.certificate is None
    quick = masks.origin.certificate == "quick"
    for planned in masks.spec.plan(scored=True).layers:
        mask = masks[planned.name]
        scores = importance.scores(planned)
        claimed = mask.upper_bound
        bound = _bound(planned, mask, scores, tight=not quick)
        if bound == claimed:
            continue
        if bound is not None and claimed is not None:
            if quick and bound > claimed:  # an older raiw took more passes for a quick bound
                bound = _bound(planned, mask, scores, tight=True) or bound
            slack = _OLDER_BOUNDS * abs(bound) if older else 0.0
            if bound <= claimed + slack:
                continue
        yield (
            f"layer {mask.name!r}: graphs can keep a score of {bound} by these scores, "
            f"of {claimed} by the masks"
        )


def _bound(
    planned: PlannedLayer, mask: Mask, scores: Scores | None, *, tight: bool
) -> float | None:
    found = None if scores is None else certify_layer(planned, mask.graph, scores, tight=tight)
    return None if found is None else found.upper_bound
