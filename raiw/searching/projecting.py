"""Configurations moved onto the budget, which every one of them meets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raiw.budgets.budget import by_slopes
from raiw.errors import ImpossibleTarget
from raiw.specs.layers import packed_bytes
from raiw.specs.plan import Plan
from raiw.specs.spec import Spec

WEIGHT_BYTES = 4
"""Of a kept weight, as float32."""

BudgetUnit = Literal["parameters", "flops", "bytes", "ms"]
ShareOut = Callable[[Spec], Spec]
"""Gives every layer its edges, for a spec with a total to share."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a network may cost."""

    unit: BudgetUnit
    amount: float
    milliseconds: Callable[[Plan], float] | None = None
    """Predicts the time of a plan, for a limit in ``ms``."""

    def part(self, share: float) -> "Limit":
        """Return so much of the limit."""
        return Limit(self.unit, self.amount * share, self.milliseconds)

    def project(self, spec: Spec, share: ShareOut) -> Spec:
        """Return a dense spec with edges that cost no more than the limit, and as much as they can.

        Weights and operations are met as :func:`raiw.specs.budget.share_budget` says: to the last
        one where the layers' costs allow it, else less than one edge of the cheapest layer is left.
        Bytes are those of the kept weights in float32 and of the packed masks. Milliseconds are
        predicted; of all numbers of weights, the largest is taken that keeps them.

        Raises
        ------
        ImpossibleTarget
            The limit is less than what the rules fix, or the masks, or the layers' calls take.
        """
        if self.unit == "flops":
            dense = spec.plan(scored=True).flops
            amount = int(self.amount) if dense is None else min(int(self.amount), dense)
            return share(_target(spec, flops=amount))
        if self.unit == "parameters":
            return share(_target(spec, parameters=self._at_most(spec, int(self.amount))))
        if self.unit == "bytes":
            masks = sum(packed_bytes(layer.graph_shape) for layer in spec.layers)
            left = int(self.amount) - masks
            if left < 0:
                raise ImpossibleTarget(
                    f"{int(self.amount)} bytes cannot be kept: the masks alone take {masks}",
                    pointer="/budget/bytes",
                    nearest=masks,
                )
            weights = self._at_most(spec, left // WEIGHT_BYTES)
            return share(_target(spec, parameters=weights))
        return self._in_time(spec, share)

    def _at_most(self, spec: Spec, weights: int) -> int:
        """Return the weights to share: a budget beyond the dense network is the dense network."""
        return min(weights, spec.plan(scored=True).dense_weights)

    def _in_time(self, spec: Spec, share: ShareOut) -> Spec:
        assert self.milliseconds is not None  # noqa: S101 -- a limit in ms comes with a prediction
        least, most = _fewest(spec, share), spec.plan(scored=True).dense_weights
        best, slowest = None, 0.0
        while least <= most:
            middle = (least + most) // 2
            tried = share(_target(spec, parameters=middle))
            slowest = self.milliseconds(tried.plan(scored=True))
            if slowest <= self.amount:
                best, least = tried, middle + 1
            else:
                most = middle - 1
        if best is None:
            raise ImpossibleTarget(
                f"{self.amount:.4g} ms cannot be kept: with its fewest weights the network takes "
                f"{slowest:.4g} ms; give more, or let narrower networks be chosen",
                pointer="/budget/ms",
                nearest=slowest,
            )
        return best


def share_by(slopes: Mapping[str, float]) -> ShareOut:
    """Return what gives layers densities in proportion to their slopes."""
    return lambda spec: by_slopes(spec, slopes)


def cost_of(plan: Plan) -> dict[str, Any]:
    """Return what a plan costs, as JSON-serialisable values."""
    masks = sum(packed_bytes(layer.shape) for layer in plan.layers)
    return {
        "weights": plan.weights,
        "flops": plan.flops,
        "bytes": WEIGHT_BYTES * plan.weights + masks,
    }


def _fewest(spec: Spec, share: ShareOut) -> int:
    """Return the fewest weights that the rules of a spec allow."""
    try:
        share(_target(spec, parameters=0))
    except ImpossibleTarget as error:
        return int(error.details["nearest"])
    return 0


def _target(spec: Spec, **total: int) -> Spec:
    document = spec.canonical()
    craft = {key: value for key, value in document["craft"].items() if key != "density"}
    return Spec.parse(document | {"craft": craft | total})
