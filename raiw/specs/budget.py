"""A budget for the network, shared among its layers edge by edge."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from raiw.errors import ImpossibleTarget
from raiw.specs.layers import Conv, Linear

_MOST_STEPS = 1 << 16


@dataclass(frozen=True, slots=True)
class Open:
    """A layer whose edges the budget decides."""

    layer: Linear | Conv
    outputs: int
    """Consecutive outputs that share their inputs: edges come so many at a time."""

    @property
    def count(self) -> int:
        """Edges of the dense layer, ``outputs`` of them counted as one."""
        return math.prod(self.layer.graph_shape) // self.outputs

    @property
    def cost(self) -> int:
        """Weights of one such edge."""
        return self.layer.taps * self.outputs

    @property
    def weights(self) -> int:
        """Weights of the dense layer."""
        return self.count * self.cost


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


def share_weights(layers: Sequence[Open], slopes: Sequence[float], weights: int) -> list[int]:
    """Return edges of the layers that have exactly so many weights, if any have.

    Densities are ``min(1, c·slope)`` with one ``c``, solved again when layers become dense. The
    largest remainders are rounded up, the first layer's first among equal ones, never above the
    budget. What is then missing is met by the fewest edges added and removed; where the kernels
    do not allow it, less than the smallest kernel is missing.
    """
    densities = _densities(layers, slopes, weights)
    edges = [math.floor(d * one.count) for d, one in zip(densities, layers, strict=True)]
    left = weights - sum(e * one.cost for e, one in zip(edges, layers, strict=True))
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
    return [count * one.outputs for count, one in zip(exact, layers, strict=True)]


def check_budget(budget: int, fixed: int, free: int, pointer: str) -> None:
    """Require a budget between what the rules fix and that with all other layers dense.

    Raises
    ------
    ImpossibleTarget
        It is outside.
    """
    if not fixed <= budget <= fixed + free:
        nearest = fixed if budget < fixed else fixed + free
        raise ImpossibleTarget(
            f"{budget} weights cannot be kept: the rules fix {fixed} and the other layers "
            f"have {free}; the nearest feasible number is {nearest}",
            pointer=pointer,
            nearest=nearest,
        )


def _densities(layers: Sequence[Open], slopes: Sequence[float], weights: int) -> list[Fraction]:
    exact = [Fraction(slope) for slope in slopes]
    left = Fraction(weights)
    rate = sum((s * one.weights for s, one in zip(exact, layers, strict=True)), Fraction(0))
    scale = Fraction(0)
    for index in sorted(range(len(layers)), key=lambda i: (-exact[i], i)):
        scale = left / rate if rate else Fraction(0)
        if scale * exact[index] <= 1:
            break
        left -= layers[index].weights
        rate -= exact[index] * layers[index].weights
    return [min(Fraction(1), scale * s) for s in exact]


def _adjusted(layers: Sequence[Open], edges: list[int], left: int) -> list[int]:
    """Add and remove edges until no weight of the budget is left, if that can be done."""
    costs = sorted({one.cost for one in layers}, reverse=True)
    changes = dict.fromkeys(costs, 0)
    for step in _fewest_steps(costs, left):
        changes[abs(step)] += 1 if step > 0 else -1
    adjusted = list(edges)
    for index, one in enumerate(layers):
        change = changes[one.cost]
        change = max(-adjusted[index], min(change, one.count - adjusted[index]))
        adjusted[index] += change
        changes[one.cost] -= change
    return edges if any(changes.values()) else adjusted


def _fewest_steps(costs: Sequence[int], left: int) -> list[int]:
    """Return signed costs that add up to ``left``, as few as there are; empty where none do."""
    unit = math.gcd(*costs)
    if left % unit or costs[0] // unit > _MOST_STEPS:
        return []
    before: dict[int, tuple[int, int]] = {0: (0, 0)}
    queue = deque([0])
    while left not in before and queue:
        reached = queue.popleft()
        for step in (*costs, *(-cost for cost in costs)):
            further = reached + step
            if abs(further) <= costs[0] and further not in before:
                before[further] = (reached, step)
                queue.append(further)
    steps = []
    while left in before and left:
        left, step = before[left]
        steps.append(step)
    return steps
