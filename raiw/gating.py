"""Whether masks, or what is planned, pass the gates of a spec or of a command."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from raiw.errors import GateFailed, InvalidInput
from raiw.masks.mask import Mask
from raiw.masks.maskset import MaskSet
from raiw.names import listed
from raiw.specs.gates import Gates
from raiw.specs.plan import Plan

_SHOWN = 3

OnMeasured = Callable[[int, str], None]
"""Called with the number of layers measured, and the name of the next one."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A value beyond the limit of a gate."""

    layer: str | None
    """Its layer; None for the network."""
    value: float | None
    """None where the masks have no certificate."""

    def __str__(self) -> str:
        value = "not certified" if self.value is None else f"{self.value:.6g}"
        return value if self.layer is None else f"{value} in {self.layer}"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate has found."""

    gate: str
    limit: float
    worst: Breach | None
    """The value nearest to the limit or farthest beyond it; None where there is none."""
    breaches: tuple[Breach, ...]

    @property
    def ok(self) -> bool:
        """Whether everything passes."""
        return not self.breaches

    def __str__(self) -> str:
        """Name the gate with its limit, and the values beyond it, the worst first."""
        limit = "" if self.gate == "no_dead_units" else f" {self.limit:.6g}"
        if self.ok:
            return f"{self.gate}{limit}: {self.worst}" if self.worst else f"{self.gate}{limit}"
        shown = listed([str(breach) for breach in self.breaches[:_SHOWN]])
        more = len(self.breaches) - _SHOWN
        return f"{self.gate}{limit}: {shown}" + (f" and {more} more layers" if more > 0 else "")

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-serialisable values."""
        told = [{"layer": breach.layer, "value": breach.value} for breach in self.breaches]
        worst = self.worst and {"layer": self.worst.layer, "value": self.worst.value}
        return {
            "gate": self.gate,
            "limit": self.limit,
            "ok": self.ok,
            "worst": worst,
            "failures": told,
        }


def check_masks(
    masks: MaskSet, gates: Gates, on_layer: OnMeasured | None = None
) -> list[GateResult]:
    """Check masks against gates, in the order of the document.

    Only ``max_entropy_gap`` computes anything; it takes as long as :meth:`raiw.MaskSet.stats`.

    >>> import raiw
    >>> [result] = check_masks(raiw.craft("raiw/vgg16-d16"), Gates(max_density=0.05))
    >>> result.ok, str(result)
    (False, 'max_density 0.05: 0.050366')
    """
    measures: dict[str, Callable[[Mask], float | None]] = {
        "max_gap": _score_gap,
        "max_entropy_gap": lambda mask: mask.stats.entropy_gap,
        "components": lambda mask: mask.facts.components / mask.groups,
    }
    found = []
    for gate, limit in gates.asked.items():
        if gate not in measures:
            found.append(_of_network(gate, limit, masks))
            continue
        values = []
        for done, mask in enumerate(masks.values()):
            if on_layer is not None and gate == "max_entropy_gap":
                on_layer(done, mask.name)
            values.append(Breach(mask.name, measures[gate](mask)))
        found.append(_result(gate, limit, values))
    return found


def check_plan(plan: Plan, gates: Gates) -> list[GateResult]:
    """Check a plan against those gates that it can tell about: all but the three of layers."""
    return [
        _of_network(gate, limit, plan)
        for gate, limit in gates.asked.items()
        if gate not in NEED_MASKS
    ]


NEED_MASKS = frozenset({"max_gap", "max_entropy_gap", "components"})
"""Gates that only masks can be checked against."""


def require_plan_gates(gates: Gates) -> None:
    """Make sure that a plan can tell about all gates.

    Raises
    ------
    InvalidInput
        One needs masks.
    """
    if unknown := [gate for gate in gates.asked if gate in NEED_MASKS]:
        raise InvalidInput(f"a spec does not tell {listed(unknown)}: craft it, and check the masks")


def require_gates(results: list[GateResult]) -> None:
    """Make sure that every gate is passed.

    Raises
    ------
    GateFailed
        With every failed gate.
    """
    failed = [result for result in results if not result.ok]
    if failed:
        what = "gate fails" if len(failed) == 1 else "gates fail"
        raise GateFailed(
            f"{len(failed)} of {len(results)} {what}: {'; '.join(map(str, failed))}",
            gates=[result.to_json() for result in failed],
        )


def _of_network(gate: str, limit: float, network: MaskSet | Plan) -> GateResult:
    if gate == "no_dead_units":
        dead = [Breach(units.layer, units.outputs + units.inputs) for units in network.dead_units]
        return GateResult(gate, limit, max(dead, key=_beyond, default=None), tuple(dead))
    kept = float(network.weights)
    value = kept if gate == "max_weights" else kept / network.dense_weights
    return _result(gate, limit, [Breach(None, value)])


def _result(gate: str, limit: float, values: list[Breach]) -> GateResult:
    sign = -1 if gate.startswith("min_") else 1
    ordered = sorted(values, key=lambda one: _beyond(one, sign), reverse=True)
    wrong = [one for one in ordered if one.value is None or sign * one.value > sign * limit]
    return GateResult(gate, limit, ordered[0] if ordered else None, tuple(wrong))


def _beyond(breach: Breach, sign: int = 1) -> float:
    return float("inf") if breach.value is None else sign * breach.value


def _score_gap(mask: Mask) -> float | None:
    """Return the gap of a layer; one that keeps every edge lacks nothing."""
    return 0.0 if mask.edges == mask.shape[0] * mask.shape[1] else mask.gap


def failed_gates(results: list[GateResult]) -> Iterator[dict[str, Any]]:
    """Yield the failed gates as JSON-serialisable values."""
    return (result.to_json() for result in results if not result.ok)
