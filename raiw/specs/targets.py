"""The target of one layer: which rule decides it, and how many edges it asks for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from raiw.errors import ImpossibleTarget, InvalidSpec
from raiw.specs.crafting import Craft, Rule
from raiw.specs.layers import Conv, Linear
from raiw.specs.matching import LayerNames

_SHOWN = 8
"""Layer names that stand in a message."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """The rules that decide a layer: positions among the rules, None where none does."""

    target: int | None = None
    """The last rule for the layer that gives a target."""
    group_outputs: int | None = None
    """The last rule for the layer that gives group_outputs."""


def deciding_rules(layers: Sequence[Linear | Conv], rules: Sequence[Rule]) -> list[Deciding]:
    """Return for every layer the rules that decide it: of the rules for it the last.

    Costs one search for each glob that differs from the others; see :class:`LayerNames`.

    Raises
    ------
    InvalidSpec
        A rule matches no layer.
    TooLarge
        There are too many globs for so many layers.
    """
    names = LayerNames([layer.name for layer in layers])
    targets: dict[int, int] = {}
    shared: dict[int, int] = {}
    for glob, positions in _by_glob(rules).items():
        found = names.matching(glob)
        if not found:
            raise _matches_nothing(layers, glob, positions[0])
        for last, with_target in ((targets, True), (shared, False)):
            position = _last(rules, positions, with_target=with_target)
            if position is not None:
                last.update((i, position) for i in found if last.get(i, -1) < position)
    return [Deciding(targets.get(i), shared.get(i)) for i in range(len(layers))]


def _by_glob(rules: Sequence[Rule]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, rule in enumerate(rules):
        positions.setdefault(rule.match, []).append(position)
    return positions


def _last(rules: Sequence[Rule], positions: Sequence[int], *, with_target: bool) -> int | None:
    giving = (
        position
        for position in reversed(positions)
        if (rules[position].has_target if with_target else rules[position].group_outputs)
    )
    return next(giving, None)


def _matches_nothing(layers: Sequence[Linear | Conv], glob: str, position: int) -> InvalidSpec:
    names = ", ".join(layer.name for layer in layers[:_SHOWN])
    return InvalidSpec(
        f"rule {glob!r} matches no layer; the layers are {names}"
        f"{', …' if len(layers) > _SHOWN else ''}",
        pointer=f"/craft/rules/{position}/match",
    )


def group_outputs(layer: Linear | Conv, craft: Craft, deciding: Deciding) -> int:
    """Return how many outputs of a layer share their inputs; 1 where a rule makes it dense.

    Raises
    ------
    ImpossibleTarget
        The number does not divide the layer's outputs.
    """
    if deciding.target is not None and craft.rules[deciding.target].dense:
        return 1
    position = deciding.group_outputs
    own = None if position is None else craft.rules[position].group_outputs
    outputs = craft.group_outputs if own is None else own
    group_out = layer.graph_shape[0] // layer.groups
    if group_out % outputs:
        per_group = " of a group" if layer.groups > 1 else ""
        raise ImpossibleTarget(
            f"layer {layer.name!r}: group_outputs={outputs} does not divide its {group_out} "
            f"outputs{per_group}; the nearest that does is {math.gcd(outputs, group_out)}: give "
            f"the layer a rule with it, or make it dense",
            pointer="/craft/group_outputs" if own is None else f"/craft/rules/{position}",
            layer=layer.name,
            nearest=math.gcd(outputs, group_out),
        )
    return outputs


def _whole_groups(layer: Linear | Conv, edges: int, outputs: int, pointer: str) -> int:
    """Require edges that ``outputs`` consecutive outputs can share evenly."""
    if edges % outputs == 0:
        return edges
    nearest = min((edges + outputs // 2) // outputs * outputs, math.prod(layer.graph_shape))
    raise ImpossibleTarget(
        f"layer {layer.name!r}: {edges} edges cannot be shared by {outputs} outputs each; the "
        f"nearest feasible number is {nearest} edges",
        pointer=pointer,
        layer=layer.name,
        nearest=nearest,
    )


def layer_edges(
    layer: Linear | Conv, target: Rule | Craft, at: str, outputs: int, m: int
) -> tuple[int, str]:
    """Return the edges a target asks of a layer, and the pointer of that target.

    Raises
    ------
    ImpossibleTarget
        The layer has too few edges, or ``outputs`` cannot share them.
    InvalidSpec
        There is no target.
    """
    out, n_in = layer.graph_shape
    cells = out * n_in
    if isinstance(target, Rule) and target.dense:
        return cells, f"{at}/dense"
    if target.degree is not None:
        group_out = out // layer.groups
        if target.degree > group_out:
            per_group = " of its group" if layer.groups > 1 else ""
            raise ImpossibleTarget(
                f"layer {layer.name!r}: an input vertex cannot have {target.degree} edges, it "
                f"meets only {group_out} outputs{per_group}; the nearest feasible degree is "
                f"{group_out}",
                pointer=f"{at}/degree",
                layer=layer.name,
                nearest=group_out,
            )
        edges = target.degree * n_in * layer.groups
        return _whole_groups(layer, edges, outputs, f"{at}/degree"), f"{at}/degree"
    if target.density is not None:
        shared = Fraction(target.density) * (cells // outputs)
        return math.floor(shared + Fraction(1, 2)) * outputs, f"{at}/density"
    if target.edges is not None:
        if target.edges > cells:
            raise ImpossibleTarget(
                f"layer {layer.name!r} has {cells} edges in all, {target.edges} were asked for; "
                f"the nearest feasible number is {cells}",
                pointer=f"{at}/edges",
                layer=layer.name,
                nearest=cells,
            )
        return _whole_groups(layer, target.edges, outputs, f"{at}/edges"), f"{at}/edges"
    if target.n is not None:
        return cells * target.n // m, f"{at}/n"
    raise InvalidSpec(
        f"layer {layer.name!r} has no target: give craft one of degree, density, edges, n, "
        f"parameters or flops, or a rule that matches the layer",
        pointer="/craft",
    )
