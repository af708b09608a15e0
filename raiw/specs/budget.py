"""A budget for the network, shared among its layers edge by edge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from raiw.errors import ImpossibleTarget, InvalidSpec
from raiw.specs.crafting import Craft
from raiw.specs.layers import Conv, Linear


@dataclass(frozen=True, slots=True)
class Open:
    """A layer whose edges the budget decides."""

    layer: Linear | Conv
    unit: int
    """Edges that are kept together: they come in multiples of this."""
    edge_cost: int
    """Weights or operations of one edge."""
    least_edges: int = 0
    """Edges it has in any case, for its ``min_fan_in``."""

    @property
    def least(self) -> int:
        """Edges it has in any case, ``unit`` of them counted as one."""
        return self.least_edges // self.unit

    @property
    def count(self) -> int:
        """Edges of the dense layer, ``unit`` of them counted as one."""
        return math.prod(self.layer.graph_shape) // self.unit

    @property
    def cost(self) -> int:
        """Cost of so many edges."""
        return self.edge_cost * self.unit

    @property
    def dense_cost(self) -> int:
        """Cost of the dense layer."""
        return self.count * self.cost

    @property
    def least_cost(self) -> int:
        """Cost of the edges it has in any case."""
        return self.least * self.cost


def edge_cost(layer: Linear | Conv, craft: Craft) -> int:
    """Return what an edge of a layer takes from the budget: its weights, or its operations.

    Raises
    ------
    InvalidSpec
        Operations are counted, and nobody knows at how many positions the layer works.
    """
    if craft.flops is None:
        return layer.taps
    if layer.positions is None:
        raise InvalidSpec(
            f"layer {layer.name!r} has no positions, so its operations cannot be counted: give it "
            f"positions, the height × width of its output",
            pointer="/craft/flops",
            layer=layer.name,
        )
    return 2 * layer.taps * layer.positions


def slope(layer: Linear | Conv, allocation: str) -> float:
    """Return what the density of a layer is proportional to, until it reaches 1.

    ``uniform``: 1. ``erk``: the sum of the weight's sides over their product (Evci et al., Rigging
    the Lottery, ICML 2020). ``degree``: 1 over the outputs that an input vertex meets.

    >>> fc = Linear(name="fc", kind="linear", in_features=4, out_features=8)
    >>> slope(fc, "erk"), slope(fc, "degree")
    (0.375, 0.125)
    """
    if allocation == "erk":
        return sum(layer.weight_shape) / math.prod(layer.weight_shape)
    if allocation == "degree":
        return layer.groups / layer.graph_shape[0]
    return 1.0


def share_budget(layers: Sequence[Open], slopes: Sequence[float], budget: int) -> list[int]:
    """Return edges of the layers that cost exactly so much, if any do.

    Densities are ``c·slope`` with one ``c``, but what ``least`` is at least and 1 at most. The
    largest remainders are rounded up, the first layer's first among equal ones, never above the
    budget. What is then missing is met by some edges more and some fewer; where the costs do not
    allow it, less than the cheapest edge of a layer with room is missing. The budget is at least
    what all ``least`` cost.
    """
    densities = _densities(layers, slopes, budget)
    edges = [math.floor(d * one.count) for d, one in zip(densities, layers, strict=True)]
    left = budget - sum(e * one.cost for e, one in zip(edges, layers, strict=True))
    remainders = [e - d * one.count for e, d, one in zip(edges, densities, layers, strict=True)]
    for index in sorted(range(len(layers)), key=lambda i: (remainders[i], i)):
        if layers[index].cost <= left and edges[index] < layers[index].count:
            edges[index] += 1
            left -= layers[index].cost
    for index in sorted(range(len(layers)), key=lambda i: (-layers[i].cost, i)):
        more = min(left // layers[index].cost, layers[index].count - edges[index])
        edges[index] += more
        left -= more * layers[index].cost
    exact = _adjusted(layers, edges, left) if left else edges
    return [count * one.unit for count, one in zip(exact, layers, strict=True)]


def open_budget(craft: Craft, layers: Sequence[Open], fixed: int) -> int:
    """Return what the layers share, in a network whose rules cost ``fixed``.

    Raises
    ------
    ImpossibleTarget
        The budget is less than what is fixed, or more than the network has.
    """
    free, least = sum(one.dense_cost for one in layers), sum(one.least_cost for one in layers)
    unit, field = ("weights", "parameters") if craft.flops is None else ("operations", "flops")
    budget = craft.parameters if craft.flops is None else craft.flops
    if budget is None:
        field = "density"
        budget = fixed + math.floor(Fraction(craft.density or 0) * free + Fraction(1, 2))
    if not fixed + least <= budget <= fixed + free:
        nearest = fixed + (least if budget < fixed + least else free)
        floor = f", {least} of it for min_fan_in" if least else ""
        raise ImpossibleTarget(
            f"{budget} {unit} cannot be kept: the rules fix {fixed} and the other layers "
            f"have {free}{floor}; the nearest feasible number is {nearest}",
            pointer=f"/craft/{field}",
            nearest=nearest,
        )
    return budget - fixed


def share(craft: Craft, layers: Sequence[Open], fixed: int) -> list[int]:
    """Return the edges of the layers that no rule decides, by ``craft.allocation``.

    Raises
    ------
    ImpossibleTarget
        As in :func:`open_budget`.
    """
    slopes = [slope(one.layer, craft.allocation or "uniform") for one in layers]
    return share_budget(layers, slopes, open_budget(craft, layers, fixed))


def _densities(layers: Sequence[Open], slopes: Sequence[float], budget: int) -> list[Fraction]:
    exact = [Fraction(slope) for slope in slopes]
    least = [Fraction(one.least, one.count) for one in layers]
    active = [i for i in range(len(layers)) if not least[i]]
    rate = sum((exact[i] * layers[i].dense_cost for i in active), Fraction(0))
    spent = Fraction(sum(one.least_cost for one in layers))
    # Where c makes a layer exceed its least, and where it makes it dense.
    bounds = [(least[i] / s, i, False) for i, s in enumerate(exact) if s and least[i]]
    bounds += [(1 / s, i, True) for i, s in enumerate(exact) if s]
    scale = Fraction(0)
    for bound, index, dense in sorted(bounds):
        if spent + rate * bound >= budget:
            break
        change = exact[index] * layers[index].dense_cost
        rate += -change if dense else change
        spent += layers[index].dense_cost if dense else -layers[index].least_cost
        scale = bound
    if rate:
        scale = (budget - spent) / rate
    return [min(Fraction(1), max(low, scale * s)) for low, s in zip(least, exact, strict=True)]


def _adjusted(layers: Sequence[Open], edges: list[int], left: int) -> list[int]:
    """Add and remove edges until nothing of the budget is left, if that can be done."""
    costs = sorted({one.cost for one in layers}, reverse=True)
    kept, room = dict.fromkeys(costs, 0), dict.fromkeys(costs, 0)
    for one, own in zip(layers, edges, strict=True):
        kept[one.cost] += own - one.least
        room[one.cost] += one.count - own
    changes = _changes(costs, kept, room, left)
    adjusted = list(edges)
    for index, one in enumerate(layers):
        change = changes.get(one.cost, 0)
        change = max(one.least - adjusted[index], min(change, one.count - adjusted[index]))
        adjusted[index] += change
        changes[one.cost] = changes.get(one.cost, 0) - change
    return adjusted


def _changes(
    costs: Sequence[int], kept: Mapping[int, int], room: Mapping[int, int], left: int
) -> dict[int, int]:
    """Return how many edges of each cost to add, or to remove if negative, to spend ``left``.

    Looks for ever larger changes; where there is a solution, one changes less than twice as many
    edges as the largest cost is (Eisenbrand and Weismantel, SODA 2018). Empty where there is none,
    or none was found among so many rests as :class:`raiw.specs.rests.Rests` holds.
    """
    from raiw.specs.rests import Rests  # and numpy, which few plans need

    unit = math.gcd(*costs)
    if left % unit:
        return {}
    last, most = costs[-1], 1
    tried: list[range] = []
    while most <= 4 * costs[0] // unit:
        before = tried
        tried = [range(-min(kept[c], most), min(room[c], most) + 1) for c in costs[:-1]]
        if tried == before:
            break  # no larger change is possible
        rests = Rests(left)
        for cost, steps in zip(costs, tried, strict=False):
            if not rests.spend(cost, sorted(steps, key=abs)):
                return {}
        found = rests.met_by(last, -kept[last], room[last])
        if found is not None:
            return dict(zip(costs, found, strict=True))
        most *= 2
    return {}
