"""What share of a model's weights masks cover, and what they leave out and why."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from raiw.applying.places import find_places
from raiw.masks import MaskSet
from raiw.readers.modules import read_weights
from raiw.specs.dead import DeadUnits, told
from raiw.specs.planned import PlannedLayer
from raiw.specs.spec import Spec

_MATRIX = 2
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A parameter that stays dense."""

    name: str
    weights: int
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """The weights of a model, each counted once: those that masks prune from, and all others.

    Weights are the parameters of two or more axes; biases and scales stay as they are.
    """

    weights: int
    """Weights of the model."""
    covered: int
    """Weights of the layers with a mask that prunes some."""
    kept: int
    """The covered ones that are kept."""
    left_out: tuple[LeftOut, ...]
    """The parameters that stay dense, largest first."""
    dead_units: tuple[DeadUnits, ...]
    """The layers that leave outputs or inputs without an edge."""

    @property
    def share(self) -> float:
        """Covered weights over all weights."""
        return self.covered / self.weights

    @property
    def density(self) -> float:
        """Weights that are not pruned over all weights."""
        return (self.weights - self.covered + self.kept) / self.weights

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable values."""
        return {
            "weights": self.weights,
            "covered": self.covered,
            "kept": self.kept,
            "left_out": [asdict(each) for each in self.left_out],
            "dead_units": [units.model_dump() for units in self.dead_units],
        }

    def __str__(self) -> str:
        total = f"{self.covered:,} of {self.weights:,} weights ({self.share:.1%})"
        kept = f"which keep {self.kept:,}; density of all {self.density:.2%}"
        lines = [f"{total} are in sparse layers, {kept}"]
        lines += [
            f"  dense: {each.name}, {each.weights:,} weights: {each.reason}"
            for each in self.left_out[:_SHOWN]
        ]
        if rest := self.left_out[_SHOWN:]:
            lines.append(
                f"  dense: {len(rest)} more with {sum(each.weights for each in rest):,} weights"
            )
        if self.dead_units:
            lines.append(f"  {told([*self.dead_units])}")
        return "\n".join(lines)


def coverage(model: nn.Module, masks: MaskSet) -> Coverage:
    """Return what masks cover of a model that does not hold them yet.

    Raises
    ------
    InvalidInput
        A mask does not fit its parameter.
    """
    parts: dict[int, dict[str, str]] = {}
    for place in find_places(model, masks, strict=False):
        parts.setdefault(id(place.weight), {})[repr(place.where)] = place.layer
    planned = {layer.name: layer for layer in masks.spec.plan(scored=bool(masks.importance)).layers}
    reasons = _reasons(model)
    weights = covered = kept = 0
    left_out = []
    for name, parameter in model.named_parameters():
        if parameter.dim() < _MATRIX:
            continue
        weights += parameter.numel()
        layers = parts.get(id(parameter), {}).values()
        for mask in (masks[layer] for layer in layers):
            if mask.weights < mask.dense_weights:
                covered += mask.dense_weights
                kept += mask.weights
            else:
                reason = _why_dense(planned[mask.name], masks.spec)
                whole = name if len(layers) == 1 else mask.name
                left_out.append(LeftOut(whole, mask.dense_weights, reason))
        rest = parameter.numel() - sum(masks[layer].dense_weights for layer in layers)
        if rest:
            reason = reasons.get(name, "the masks have none for it")
            left_out.append(LeftOut(name, rest, reason))
    left_out.sort(key=lambda each: -each.weights)
    return Coverage(weights, covered, kept, tuple(left_out), tuple(masks.dead_units))


def _reasons(model: nn.Module) -> dict[str, str]:
    """Return why parameters can have no mask, by their names."""
    reading = read_weights(model)
    unusable = {
        name: reason
        for name, _ in model.named_parameters()
        for layer, reason in reading.unusable.items()
        if name.startswith(f"{layer}.")
    }
    return reading.others | unusable


def _why_dense(planned: PlannedLayer, spec: Spec) -> str:
    _, _, field, *rest = planned.pointer.split("/")
    if field == "rules":
        rule = spec.craft.rules[int(rest[0])]
        return rule.note or f"rule {rule.match!r}"
    if field in {"keep_first", "keep_last"}:
        return f"{field}={getattr(spec.craft, field)}"
    return f"craft.{field} gives it every edge"
