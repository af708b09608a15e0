"""The target of one layer: which rule decides it, and how many edges it asks for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter

from raiw.errors import ImpossibleTarget, InvalidSpec
from raiw.specs.blocks import EdgeBlock
from raiw.specs.crafting import Craft, Rule
from raiw.specs.layers import Conv, Linear
from raiw.specs.matching import LayerNames

_SHOWN = 8
"""Layer names that stand in a message."""
_GIVES: dict[str, Callable[[Rule], object]] = {
    "target": attrgetter("has_target"),
    "group_outputs": attrgetter("group_outputs"),
    "group_inputs": attrgetter("group_inputs"),
}
"""What a rule can decide of a layer, and whether it does."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """The rules that decide a layer: positions among the rules, None where none does."""

    target: int | None = None
    """The last rule for the layer that gives a target."""
    group_outputs: int | None = None
    """The last rule for the layer that gives group_outputs."""
    group_inputs: int | None = None
    """The last rule for the layer that gives group_inputs."""


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
    deciding: list[dict[str, int]] = [{} for _ in layers]
    for glob, positions in _by_glob(rules).items():
        found = names.matching(glob)
        if not found:
            raise _matches_nothing(layers, glob, positions[0])
        for said, gives in _GIVES.items():
            last = next((at for at in reversed(positions) if gives(rules[at])), -1)
            for i in found if last >= 0 else ():
                deciding[i][said] = max(deciding[i].get(said, -1), last)
    return [Deciding(**own) for own in deciding]


def _by_glob(rules: Sequence[Rule]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, rule in enumerate(rules):
        positions.setdefault(rule.match, []).append(position)
    return positions


def _matches_nothing(layers: Sequence[Linear | Conv], glob: str, position: int) -> InvalidSpec:
    names = ", ".join(layer.name for layer in layers[:_SHOWN])
    return InvalidSpec(
        f"rule {glob!r} matches no layer; the layers are {names}"
        f"{', …' if len(layers) > _SHOWN else ''}",
        pointer=f"/craft/rules/{position}/match",
    )


def block_of(layer: Linear | Conv, craft: Craft, deciding: Deciding) -> EdgeBlock:
    """Return which edges of a layer are kept together; single ones where a rule makes it dense.

    Raises
    ------
    ImpossibleTarget
        A number does not divide the layer's outputs or inputs.
    """
    if deciding.target is not None and craft.rules[deciding.target].dense:
        return EdgeBlock()
    out, n_in = layer.graph_shape
    return EdgeBlock(
        _divisor(layer, craft, "group_outputs", deciding.group_outputs, out // layer.groups),
        _divisor(layer, craft, "group_inputs", deciding.group_inputs, n_in),
    )


def _divisor(
    layer: Linear | Conv, craft: Craft, field: str, position: int | None, vertices: int
) -> int:
    """Return how many of a layer's vertices are one, and make sure that they can be."""
    together: int = getattr(craft if position is None else craft.rules[position], field)
    if vertices % together:
        per_group = " of a group" if layer.groups > 1 else ""
        nearest = math.gcd(together, vertices)
        raise ImpossibleTarget(
            f"layer {layer.name!r}: {field}={together} does not divide its {vertices} "
            f"{field.removeprefix('group_')}{per_group}; the nearest that does is {nearest}: give "
            f"the layer a rule with it, or make it dense",
            pointer=f"/craft/{field}" if position is None else f"/craft/rules/{position}",
            layer=layer.name,
            nearest=nearest,
        )
    return together


def _whole_blocks(layer: Linear | Conv, edges: int, block: EdgeBlock, pointer: str) -> int:
    """Require edges that whole blocks can have."""
    unit = block.edges
    if edges % unit == 0:
        return edges
    nearest = min((edges + unit // 2) // unit * unit, math.prod(layer.graph_shape))
    raise ImpossibleTarget(
        f"layer {layer.name!r}: {edges} edges are not a whole number of blocks of {block}; "
        f"the nearest feasible number is {nearest} edges",
        pointer=pointer,
        layer=layer.name,
        nearest=nearest,
    )


def layer_edges(
    layer: Linear | Conv, target: Rule | Craft, at: str, block: EdgeBlock, m: int
) -> tuple[int, str]:
    """Return the edges a target asks of a layer, and the pointer of that target.

    Raises
    ------
    ImpossibleTarget
        The layer has too few edges, or not whole blocks.
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
        return _whole_blocks(layer, edges, block, f"{at}/degree"), f"{at}/degree"
    if target.density is not None:
        blocks = Fraction(target.density) * (cells // block.edges)
        return math.floor(blocks + Fraction(1, 2)) * block.edges, f"{at}/density"
    if target.edges is not None:
        if target.edges > cells:
            raise ImpossibleTarget(
                f"layer {layer.name!r} has {cells} edges in all, {target.edges} were asked for; "
                f"the nearest feasible number is {cells}",
                pointer=f"{at}/edges",
                layer=layer.name,
                nearest=cells,
            )
        return _whole_blocks(layer, target.edges, block, f"{at}/edges"), f"{at}/edges"
    if target.n is not None:
        return cells * target.n // m, f"{at}/n"
    raise InvalidSpec(
        f"layer {layer.name!r} has no target: give craft one of degree, density, edges, n, "
        f"parameters or flops, or a rule that matches the layer",
        pointer="/craft",
    )
