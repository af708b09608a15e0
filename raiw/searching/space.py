"""What a search may choose: network, algorithm, outputs that share inputs, and layers' shares."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

LEAST_SLOPE = 1e-3
"""Smallest density of a layer over that of the densest one, before a budget is met."""
LEAST_SHARE = 0.05
"""Smallest part of the budget that is tried where what it costs is an objective too."""

Proposed = dict[str, Any]
"""Values by the name of a parameter, as Optuna has them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One configuration, before it meets the budget."""

    values: Mapping[str, Any]
    """What is chosen of ``choices``, by name."""
    slopes: Mapping[str, float]
    """What the density of each layer is in proportion to."""
    share: float
    """Part of the budget to use."""


@dataclass(frozen=True, slots=True)
class Space:
    """All configurations.

    Densities are searched by their logarithms, from a thousandth of the densest layer's. The budget
    decides the factor before all of them.
    """

    choices: Mapping[str, Sequence[Any]]
    """Values by the name of what is chosen among several."""
    layers: Sequence[str]
    """The layers that share the budget, of all networks that may be chosen."""
    shared: bool
    """Whether a part of the budget may be left."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the parameters of the search, as Optuna describes them."""
        found: dict[str, BaseDistribution] = {
            name: CategoricalDistribution([_label(value) for value in values])
            for name, values in self.choices.items()
            if len(values) > 1
        }
        low = math.log(LEAST_SLOPE)
        found |= {f"density {name}": FloatDistribution(low, 0.0) for name in self.layers}
        if self.shared:
            found["budget"] = FloatDistribution(LEAST_SHARE, 1.0, log=True)
        return found

    def choice(self, parameters: Mapping[str, Any]) -> Chosen:
        """Return the configuration that parameters stand for."""
        return Chosen(
            {name: _chosen(values, parameters.get(name)) for name, values in self.choices.items()},
            {name: math.exp(parameters[f"density {name}"]) for name in self.layers},
            float(parameters.get("budget", 1.0)),
        )

    def parameters(self, values: Mapping[str, Any], slopes: Mapping[str, float]) -> Proposed:
        """Return the parameters of a configuration that uses the whole budget.

        Layers without a slope have that of the densest one.
        """
        most = max(slopes.values(), default=1.0) or 1.0
        found: Proposed = {
            name: _label(values[name]) for name, own in self.choices.items() if len(own) > 1
        }
        for name in self.layers:
            slope = max(slopes.get(name, most) / most, LEAST_SLOPE)
            found[f"density {name}"] = min(math.log(slope), 0.0)
        if self.shared:
            found["budget"] = 1.0
        return found

    def drawn(self, seed: int, count: int) -> list[Proposed]:
        """Return so many random configurations."""
        random = np.random.default_rng(seed)
        found = []
        for _ in range(count):
            values = {
                name: own[int(random.integers(len(own)))] for name, own in self.choices.items()
            }
            low = math.log(LEAST_SLOPE)
            slopes = {name: math.exp(random.uniform(low, 0.0)) for name in self.layers}
            drawn = self.parameters(values, slopes)
            if self.shared:
                drawn["budget"] = math.exp(random.uniform(math.log(LEAST_SHARE), 0.0))
            found.append(drawn)
        return found


def _label(value: Any) -> Any:
    """Return a value as Optuna stores it: lists are none of its kinds."""
    return str(list(value)) if isinstance(value, list | tuple) else value


def _chosen(values: Sequence[Any], label: Any) -> Any:
    return values[0] if len(values) == 1 else next(v for v in values if _label(v) == label)
