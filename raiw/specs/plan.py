"""The plan: every layer's exact number of edges and degrees, before any graph is built."""

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from raiw.errors import ImpossibleTarget, InvalidSpec, TooLarge
from raiw.specs.crafting import MAX_EDGES, Craft, Rule
from raiw.specs.layers import Conv, Linear


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer with its edge count decided."""

    layer: Linear | Conv
    edges: int
    pointer: str
    """Where in the document the target stands."""
    group_outputs: int = 1
    """Consecutive outputs that share one set of inputs: one output vertex of what is crafted."""

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.layer.name

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(out, in/groups)`` of the mask."""
        return self.layer.graph_shape

    @property
    def cells(self) -> int:
        """Edges of the dense layer."""
        return math.prod(self.shape)

    @property
    def group_shape(self) -> tuple[int, int]:
        """Shape ``(out/groups/group_outputs, in/groups)`` of the graph crafted for one group."""
        out, n_in = self.shape
        return out // self.layer.groups // self.group_outputs, n_in

    @property
    def group_edges(self) -> tuple[int, ...]:
        """Edges crafted for each group: equal, the first ones one more where they do not divide."""
        share, rest = divmod(self.edges // self.group_outputs, self.layer.groups)
        return tuple(share + (group < rest) for group in range(self.layer.groups))

    @property
    def dense(self) -> bool:
        """Whether every edge is kept."""
        return self.edges == self.cells

    @property
    def density(self) -> float:
        """Kept edges over all edges."""
        return self.edges / self.cells

    @property
    def weights(self) -> int:
        """Weights kept."""
        return self.edges * self.layer.taps

    @property
    def dense_weights(self) -> int:
        """Weights of the dense layer."""
        return self.cells * self.layer.taps

    def degree_range(self, side: str) -> tuple[int, int]:
        """Return the smallest and largest degree the contract allows on side ``in`` or ``out``."""
        n = self.group_shape[0 if side == "out" else 1]
        fewest, most = min(self.group_edges), max(self.group_edges)
        outputs = self.group_outputs if side == "in" else 1
        return outputs * (fewest // n), outputs * -(-most // n)

    def to_json(self) -> dict[str, Any]:
        """Return the plan of the layer as JSON-serialisable values."""
        return {
            "name": self.name,
            "kind": self.layer.kind,
            "shape": list(self.shape),
            "groups": self.layer.groups,
            "group_outputs": self.group_outputs,
            "edges": self.edges,
            "density": self.density,
            "dense": self.dense,
            "in_degree": list(self.degree_range("in")),
            "out_degree": list(self.degree_range("out")),
            "weights": self.weights,
            "dense_weights": self.dense_weights,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What crafting a spec will build; costs no array and no score."""

    algorithm: str
    layers: tuple[PlannedLayer, ...]

    @property
    def edges(self) -> int:
        """Edges kept in the whole network."""
        return sum(layer.edges for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights kept in the whole network."""
        return sum(layer.weights for layer in self.layers)

    @property
    def dense_weights(self) -> int:
        """Weights of the dense network."""
        return sum(layer.dense_weights for layer in self.layers)

    @property
    def mask_bytes(self) -> int:
        """Bytes of the packed masks."""
        return sum(layer.shape[0] * -(-layer.shape[1] // 8) for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-serialisable values, layer by layer and in total."""
        return {
            "algorithm": self.algorithm,
            "layers": [layer.to_json() for layer in self.layers],
            "edges": self.edges,
            "weights": self.weights,
            "dense_weights": self.dense_weights,
            "mask_bytes": self.mask_bytes,
        }


def plan_layers(layers: Sequence[Linear | Conv], craft: Craft) -> tuple[PlannedLayer, ...]:
    """Decide every layer's edges from the target and the rules.

    Raises
    ------
    InvalidSpec
        A rule matches no layer, or a layer has no target.
    ImpossibleTarget
        A target has no graph; the message names the nearest one that has.
    TooLarge
        A layer would have 2³¹ edges or more.
    """
    _check_rules(layers, craft.rules)
    if craft.algorithm == "dense":
        return tuple(
            PlannedLayer(layer, math.prod(layer.graph_shape), "/craft/algorithm")
            for layer in layers
        )
    shared = [_group_outputs(layer, craft) for layer in layers]
    planned: dict[int, PlannedLayer] = {}
    for index, (layer, outputs) in enumerate(zip(layers, shared, strict=True)):
        position = _last_match(layer.name, craft.rules, with_target=True)
        if position is not None:
            rule, pointer = craft.rules[position], f"/craft/rules/{position}"
            edges, pointer = _layer_edges(layer, rule, pointer, outputs)
            planned[index] = PlannedLayer(layer, edges, pointer, 1 if rule.dense else outputs)
        elif craft.parameters is None:
            planned[index] = PlannedLayer(
                layer, *_layer_edges(layer, craft, "/craft", outputs), outputs
            )
    if craft.parameters is not None:
        free = [(layers[i], shared[i]) for i in range(len(layers)) if i not in planned]
        fixed = sum(layer.weights for layer in planned.values())
        split = iter(_split_parameters(free, craft.parameters, fixed))
        for index, (layer, outputs) in enumerate(zip(layers, shared, strict=True)):
            if index not in planned:
                planned[index] = PlannedLayer(layer, next(split), "/craft/parameters", outputs)
    for layer_plan in planned.values():
        _check_size(layer_plan)
    return tuple(planned[index] for index in range(len(layers)))


def _check_rules(layers: Sequence[Linear | Conv], rules: Sequence[Rule]) -> None:
    for position, rule in enumerate(rules):
        if not any(fnmatch.fnmatchcase(layer.name, rule.match) for layer in layers):
            names = ", ".join(layer.name for layer in layers[:8])
            raise InvalidSpec(
                f"rule {rule.match!r} matches no layer; the layers are {names}"
                f"{', …' if len(layers) > 8 else ''}",  # noqa: PLR2004
                pointer=f"/craft/rules/{position}/match",
            )


def _last_match(name: str, rules: Sequence[Rule], *, with_target: bool) -> int | None:
    """Return the last rule for a layer that gives a target, or that gives group_outputs."""
    matching = (
        position
        for position in reversed(range(len(rules)))
        if fnmatch.fnmatchcase(name, rules[position].match)
        and (rules[position].has_target if with_target else rules[position].group_outputs)
    )
    return next(matching, None)


def _group_outputs(layer: Linear | Conv, craft: Craft) -> int:
    """Return how many outputs of a layer share their inputs; 1 where a rule makes it dense."""
    target = _last_match(layer.name, craft.rules, with_target=True)
    if target is not None and craft.rules[target].dense:
        return 1
    position = _last_match(layer.name, craft.rules, with_target=False)
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


def _layer_edges(
    layer: Linear | Conv, target: Rule | Craft, at: str, outputs: int
) -> tuple[int, str]:
    """Return the edges a target asks of a layer, and the pointer of that target."""
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
    raise InvalidSpec(
        f"layer {layer.name!r} has no target: give craft one of degree, density, edges or "
        f"parameters, or a rule that matches the layer",
        pointer="/craft",
    )


def _split_parameters(
    layers: Sequence[tuple[Linear | Conv, int]], parameters: int, fixed: int
) -> list[int]:
    """Split a weight budget over layers and their group_outputs at one density.

    Largest remainders are rounded up.

    The total is the largest that does not exceed the budget up to one filter of the smallest
    kernel, and equals it whenever some layer has one weight an edge.
    """
    cells = [math.prod(layer.graph_shape) // outputs for layer, outputs in layers]
    weights = [layer.taps * outputs for layer, outputs in layers]
    total = sum(count * weight for count, weight in zip(cells, weights, strict=True))
    if not fixed <= parameters <= fixed + total:
        nearest = fixed if parameters < fixed else fixed + total
        raise ImpossibleTarget(
            f"{parameters} weights cannot be kept: the rules fix {fixed} and the other layers "
            f"have {total}; the nearest feasible number is {nearest}",
            pointer="/craft/parameters",
            nearest=nearest,
        )
    density = Fraction(parameters - fixed, total) if total else Fraction(0)
    edges = [math.floor(density * count) for count in cells]
    left = parameters - fixed - sum(e * w for e, w in zip(edges, weights, strict=True))
    by_remainder = sorted(range(len(layers)), key=lambda i: (edges[i] - density * cells[i], i))
    for index in by_remainder:
        if weights[index] <= left and edges[index] < cells[index]:
            edges[index] += 1
            left -= weights[index]
    for index in sorted(range(len(layers)), key=lambda i: (-weights[i], i)):
        more = min(left // weights[index], cells[index] - edges[index])
        edges[index] += more
        left -= more * weights[index]
    return [count * outputs for count, (_, outputs) in zip(edges, layers, strict=True)]


def _check_size(planned: PlannedLayer) -> None:
    if planned.edges > MAX_EDGES:
        raise TooLarge(
            f"layer {planned.name!r} would have {planned.edges} edges; one layer may have "
            f"{MAX_EDGES}: lower its target or split the layer",
            pointer=planned.pointer,
            layer=planned.name,
            limit=MAX_EDGES,
        )
