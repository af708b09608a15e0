"""The plan: every layer's exact number of edges and degrees, before any graph is built."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raiw.algorithms import ALGORITHMS, Contract
from raiw.errors import ImpossibleTarget, InvalidSpec, TooLarge
from raiw.specs.blocks import EdgeBlock
from raiw.specs.budget import Open, edge_cost, share
from raiw.specs.chains import inputs_by_unit
from raiw.specs.contracts import (
    blocked_side,
    is_reachable,
    reachable_edges,
)
from raiw.specs.crafting import MAX_EDGES, Craft
from raiw.specs.dead import DeadUnits, dead_units
from raiw.specs.layers import Conv, Linear, packed_bytes
from raiw.specs.planned import PlannedLayer
from raiw.specs.targets import Deciding, block_of, deciding_rules, layer_edges


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
    def flops(self) -> int | None:
        """Operations for one input; None if the positions of a layer are unknown."""
        known = [layer.flops for layer in self.layers if layer.flops is not None]
        return sum(known) if len(known) == len(self.layers) else None

    @property
    def dead_units(self) -> list[DeadUnits]:
        """The layers that must leave vertices without an edge, as they have too few edges."""
        return dead_units((layer.name, layer) for layer in self.layers)

    @property
    def mask_bytes(self) -> int:
        """Bytes of the packed masks."""
        return sum(packed_bytes(layer.shape) for layer in self.layers)

    @property
    def memory_bytes(self) -> int:
        """Memory that crafting takes at least, a layer at a time: see :meth:`memory_on`."""
        return self.memory_on(1)

    def memory_on(self, threads: int) -> int:
        """Return the bytes that crafting takes at least with so many layers at a time.

        They are all masks, and what that many of the largest layers need besides. Certificates may
        take several times as much, up to 80 bytes per edge.
        """
        largest = heapq.nlargest(threads, (layer.cells for layer in self.layers))
        return self.mask_bytes + sum(largest) * ALGORITHMS[self.algorithm].cell_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-serialisable values, layer by layer and in total."""
        return {
            "algorithm": self.algorithm,
            "contract": ALGORITHMS[self.algorithm].contract,
            "layers": [layer.to_json() for layer in self.layers],
            "edges": self.edges,
            "weights": self.weights,
            "dense_weights": self.dense_weights,
            "flops": self.flops,
            "dead_units": [units.model_dump() for units in self.dead_units],
            "mask_bytes": self.mask_bytes,
            "memory_bytes": self.memory_bytes,
        }

    def _repr_html_(self) -> str:
        from raiw.specs.html import plan_html

        return plan_html(self, f"Plan for {self.algorithm}")


_Target = tuple[int, str, EdgeBlock]
"""Edges of a layer, the pointer of what asked for them, and which are kept together."""


def plan_layers(
    layers: Sequence[Linear | Conv], craft: Craft, algorithm: str
) -> tuple[PlannedLayer, ...]:
    """Decide every layer's edges from the target and the rules.

    Parameters
    ----------
    algorithm
        The one that will build the layers: ``craft.algorithm``, or what stands for none.

    Raises
    ------
    InvalidSpec
        A rule matches no layer, a layer has no target, or one that the algorithm does not know, it
        does not promise what ``min_fan_in`` asks for, or the layers are no chain and must be one.
    ImpossibleTarget
        A target has no graph; the message names the nearest one that has.
    TooLarge
        A layer would have 2³¹ edges or more, or there are too many globs for so many layers.
    """
    deciding = deciding_rules(layers, craft.rules)
    if algorithm == "dense":
        dense = [math.prod(layer.graph_shape) for layer in layers]
        targets = [(edges, "/craft/algorithm", EdgeBlock()) for edges in dense]
    else:
        targets = _targets(layers, craft, deciding, algorithm)
    planned = tuple(
        PlannedLayer(
            layer, edges, pointer, block.outputs, block.inputs, algorithm, craft.m, position
        )
        for position, (layer, (edges, pointer, block)) in enumerate(
            zip(layers, targets, strict=True)
        )
    )
    for layer_plan in planned:
        _check_size(layer_plan)
        _check_contract(layer_plan)
        _check_fan_in(layer_plan, craft.min_fan_in)
    if ALGORITHMS[algorithm].whole and len(planned) > 1:
        inputs_by_unit(planned)
    return planned


def least_edges(layer: Linear | Conv, craft: Craft, block: EdgeBlock, algorithm: str) -> int:
    """Return the fewest edges that give every output ``craft.min_fan_in``, or all there are.

    Where the algorithm has no graph of just so many, the next number that it has.
    """
    out, n_in = layer.graph_shape
    fewest = -(-min(craft.min_fan_in, n_in) // block.inputs) * block.inputs * out
    if not fewest:
        return 0
    empty = PlannedLayer(layer, 0, "", block.outputs, block.inputs, algorithm, craft.m)
    reachable = reachable_edges(empty.contract, empty.group_shape, craft.m)
    if reachable is None:
        return fewest
    step = empty.graphs * block.edges
    return next(edges * step for edges in reachable if edges * step >= fewest)


def _targets(
    layers: Sequence[Linear | Conv], craft: Craft, deciding: Sequence[Deciding], algorithm: str
) -> list[_Target]:
    kept_dense = [craft.keeps_dense(position, len(layers)) for position in range(len(layers))]
    blocks = [
        EdgeBlock() if dense else block_of(layer, craft, own)
        for layer, own, dense in zip(layers, deciding, kept_dense, strict=True)
    ]
    least = [
        least_edges(layer, craft, block, algorithm)
        for layer, block in zip(layers, blocks, strict=True)
    ]
    totals = {"parameters": craft.parameters, "flops": craft.flops}
    total = next((name for name, value in totals.items() if value is not None), None)
    whole_network = total is not None or craft.allocation is not None
    targets: dict[int, _Target] = {}
    for index, (layer, block) in enumerate(zip(layers, blocks, strict=True)):
        position = deciding[index].target
        if kept_dense[index]:
            field = "keep_first" if index < craft.keep_first else "keep_last"
            targets[index] = math.prod(layer.graph_shape), f"/craft/{field}", EdgeBlock()
        elif position is not None:
            rule, at = craft.rules[position], f"/craft/rules/{position}"
            edges, pointer = layer_edges(layer, rule, at, block, craft.m)
            targets[index] = max(edges, least[index]), pointer, block
        elif not whole_network:
            edges, pointer = layer_edges(layer, craft, "/craft", block, craft.m)
            targets[index] = max(edges, least[index]), pointer, block
    if whole_network:
        costs = [edge_cost(layer, craft) for layer in layers]
        fixed = sum(targets[i][0] * costs[i] for i in targets)
        free = [i for i in range(len(layers)) if i not in targets]
        split = share(
            craft, [Open(layers[i], blocks[i].edges, costs[i], least[i]) for i in free], fixed
        )
        pointer = f"/craft/{total or 'density'}"
        for index, edges in zip(free, split, strict=True):
            targets[index] = edges, pointer, blocks[index]
    return [targets[index] for index in range(len(layers))]


def _check_size(planned: PlannedLayer) -> None:
    if planned.edges > MAX_EDGES:
        raise TooLarge(
            f"layer {planned.name!r} would have {planned.edges} edges; one layer may have "
            f"{MAX_EDGES}: lower its target or split the layer",
            pointer=planned.pointer,
            layer=planned.name,
            limit=MAX_EDGES,
        )


def _check_contract(planned: PlannedLayer) -> None:
    """Require that the algorithm has a graph of so many edges."""
    contract, shape, m = planned.contract, planned.group_shape, planned.m
    if contract not in {Contract.NM, Contract.TRANSPOSABLE_NM} and planned.pointer.endswith("/n"):
        raise InvalidSpec(
            f"n belongs to the algorithms nm and transposable_nm, not to {planned.algorithm!r}: "
            f"give density {planned.density:g}",
            pointer=planned.pointer,
        )
    if planned.dense:
        return
    side = blocked_side(contract, shape, m)
    if side is not None:
        vertices = shape[0 if side == "out" else 1]
        together = planned.group_outputs if side == "out" else planned.group_inputs
        groups = f"groups of {together} " if together > 1 else ""
        raise InvalidSpec(
            f"layer {planned.name!r}: m={m} does not divide its {vertices} {groups}{side}puts; "
            f"choose another m, or make the layer dense by a rule",
            pointer="/craft/m",
        )
    if all(is_reachable(contract, shape, m, edges) for edges in planned.group_edges_range):
        return
    reachable = reachable_edges(contract, shape, m) or ()
    step = planned.graphs * planned.block.edges
    around = _around([edges * step for edges in reachable], planned.edges)
    listed = " and ".join(f"{edges} (density {edges / planned.cells:.6g})" for edges in around)
    raise ImpossibleTarget(
        f"layer {planned.name!r}: {planned.algorithm!r} has no graph of {planned.edges} edges "
        f"(density {planned.density:.6g}); the nearest are {listed}",
        pointer=planned.pointer,
        layer=planned.name,
        nearest=min(around, key=lambda edges: abs(edges - planned.edges)),
    )


def _check_fan_in(planned: PlannedLayer, wanted: int) -> None:
    """Require that the algorithm gives every output as many edges as was asked for."""
    promised, wanted = planned.degree_range("out")[0], min(wanted, planned.shape[1])
    if promised < wanted:
        raise InvalidSpec(
            f"layer {planned.name!r}: {planned.algorithm!r} promises an output {promised} input "
            f"edges, min_fan_in asks for {wanted}: use an algorithm with even outputs such as "
            f"'raiw', 'regular' or 'constant_fan_in', or make the layer dense by a rule",
            pointer="/craft/min_fan_in",
            layer=planned.name,
        )


def _around(numbers: Sequence[int], wanted: int) -> list[int]:
    """Return the last number below and the first above, of ascending ones."""
    below = [number for number in numbers if number < wanted][-1:]
    return below + [number for number in numbers if number > wanted][:1]
