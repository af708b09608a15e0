"""Whether masks are what they claim to be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raiw.algorithms import ALGORITHMS
from raiw.crafting import group_graphs, kept_score
from raiw.crafting.certificate import certify_layer
from raiw.crafting.contracts import breach
from raiw.errors import GateFailed, InvalidSpec
from raiw.graphs import Graph
from raiw.importance.reading import Importance, open_importance
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet, load
from raiw.specs.plan import PlannedLayer
from raiw.specs.spec import Spec
from raiw.statistics import describe


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
class Report:
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
) -> Report:
    """Check masks against their own claims, and against a spec and scores where given.

    The checks are: ``digest``, the bits are those that were digested; ``facts``, the statistics
    in the file are the bits' own; ``edges``, every layer has the edges asked for; ``contract``,
    every group's graph is what its algorithm promises (:class:`raiw.algorithms.Contract`);
    ``spec``, layers, edges, algorithm and seed are the given spec's;
    ``importance``, the scores are those the masks were crafted from, and what the layers keep of
    them is what the masks say; ``certificates``, so is the bound that no graph can exceed, found
    anew from the scores.

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
        masks = load(masks)
    claimed = masks.claimed_digest or masks.digest
    wrong = (
        () if claimed == masks.digest else (f"the bits digest to {masks.digest}, not {claimed}",)
    )
    checks = [
        Check("digest", wrong),
        _over_layers("facts", masks, _facts_fault),
        _over_layers("edges", masks, _edges_fault),
    ]
    if masks.algorithm in ALGORITHMS:
        checks.append(Check("contract", tuple(_contract_faults(masks))))
    if spec is not None:
        checks.append(Check("spec", tuple(_spec_faults(masks, Spec.of(spec)))))
    if importance is not None:
        opened = open_importance(importance, masks.spec)
        checks.append(Check("importance", tuple(_importance_faults(masks, opened))))
        checks.append(Check("certificates", tuple(_certificate_faults(masks, opened))))
    return Report(masks.digest, tuple(checks))


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


def _contract_faults(masks: MaskSet) -> Iterator[str]:
    try:
        layers = masks.spec.plan(scored=masks.importance is not None).layers
    except InvalidSpec as error:
        yield f"the spec in the file cannot be crafted: {error.message}"
        return
    for planned in layers:
        fault = _contract_fault(planned, masks[planned.name].graph)
        if fault:
            yield f"layer {planned.name!r}: {fault}"


def _contract_fault(planned: PlannedLayer, layer: Graph) -> str | None:
    outputs = planned.group_outputs
    if not np.array_equal(np.repeat(layer.bits[::outputs], outputs, axis=0), layer.bits):
        return f"groups of {outputs} outputs do not share their inputs"
    for group, graph in enumerate(group_graphs(planned, layer)):
        fault = breach(planned.contract, graph, planned.m)
        if fault is not None:
            return f"group {group}: {fault}"
    return None


def _spec_faults(masks: MaskSet, spec: Spec) -> Iterator[str]:
    plan = spec.plan(scored=masks.importance is not None)
    if plan.algorithm != masks.algorithm:
        yield f"crafted by {masks.algorithm!r}, the spec asks for {plan.algorithm!r}"
    elif ALGORITHMS[plan.algorithm].seeded and spec.craft.seed != masks.seed:
        yield f"crafted with seed {masks.seed}, the spec asks for {spec.craft.seed}"
    planned = {layer.name: layer for layer in plan.layers}
    for name in (*masks, *(name for name in planned if name not in masks)):
        if name not in planned or name not in masks:
            yield f"layer {name!r} is in {'the masks' if name in masks else 'the spec'} only"
            continue
        mask, wanted = masks[name], planned[name]
        if mask.layer != wanted.layer:
            yield f"layer {name!r}: crafted for {mask.layer!r}, the spec has {wanted.layer!r}"
        elif mask.graph.edges != wanted.edges:
            yield f"layer {name!r}: {mask.graph.edges} edges, the spec asks for {wanted.edges}"


def _importance_faults(masks: MaskSet, importance: Importance) -> Iterator[str]:
    if importance.digest != masks.importance:
        yield f"crafted from {masks.importance or 'no scores'}, these are {importance.digest}"
    for planned in masks.spec.plan(scored=True).layers:
        scores = importance.scores(planned)
        mask = masks[planned.name]
        kept = None if scores is None else kept_score(mask.graph, scores)
        if kept != mask.kept_score:
            yield f"layer {mask.name!r}: keeps a score of {kept}, the masks say {mask.kept_score}"


def _certificate_faults(masks: MaskSet, importance: Importance) -> Iterator[str]:
    if not (masks.spec.craft.certify and ALGORITHMS[masks.algorithm].regular):
        return
    for planned in masks.spec.plan(scored=True).layers:
        mask = masks[planned.name]
        found = certify_layer(planned, mask.graph, importance.scores(planned))
        bound = None if found is None else found.upper_bound
        if bound != mask.upper_bound:
            yield (
                f"layer {mask.name!r}: graphs can keep a score of {bound} by these scores, of "
                f"{mask.upper_bound} by the masks"
            )
