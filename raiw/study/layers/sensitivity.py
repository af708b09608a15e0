"""Sensitivity: the accuracy left when one layer alone loses its smallest filters, untrained.

Source: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017, section 3.2 and Figure 2(b).
The paper reads the share of each layer off the curves; the rule of :attr:`Sensitivity.keep` is
ours.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from raiw.errors import InvalidInput
from raiw.graphs import Bools
from raiw.pruning.cutting import clear, cut
from raiw.pruning.groups import Group
from raiw.pruning.prunable import filter_norms, remove_lowest
from raiw.pruning.prune import traced
from raiw.pruning.running import Inputs
from raiw.specs.spec import Spec
from raiw.study.layers.defaults import SHARES, TOLERANCE
from raiw.training.data.dataset import Dataset
from raiw.training.testing import accuracy


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """The network while one layer keeps a share of its filters."""

    share: float
    filters: int
    """That stay."""
    accuracy: float


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What one layer can lose, or several whose channels the network adds."""

    layers: tuple[str, ...]
    filters: int
    """Of each."""
    tests: tuple[LayerOutcome, ...]
    """By falling share."""
    keep: float
    """The smallest share down to which no test lost more than is tolerated; else 1."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What each layer of a network can lose."""

    accuracy: float
    """Of the whole network."""
    tolerance: float
    layers: tuple[LayerSensitivity, ...]
    together: float
    """Accuracy where all layers keep their :attr:`keep`."""
    weights: int
    """Left then, of :attr:`dense_weights`."""
    dense_weights: int

    @property
    def keep(self) -> dict[str, float]:
        """The shares that ``keep`` of :func:`raiw.prune` and jobs takes, by layer."""
        return {
            name: layer.keep for layer in self.layers if layer.keep < 1 for name in layer.layers
        }

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-serialisable values."""
        return {**asdict(self), "keep": self.keep}


def sensitivity(
    model: nn.Module,
    inputs: Inputs,
    data: Dataset,
    *,
    shares: Iterable[float] = SHARES,
    tolerance: float = TOLERANCE,
    ignored_layers: Iterable[str] = (),
    on_layer: Callable[[str, int, int], None] | None = None,
) -> Sensitivity:
    """Test what is left of the accuracy when each layer alone keeps a share of its filters.

    Those of largest sum of magnitudes stay, as by the method ``l1_filter``, and nothing is trained.
    Costs a run over the test images for each layer and share.

    Parameters
    ----------
    model, inputs, ignored_layers
        As for :func:`raiw.prune`.
    data
        Its test images are what accuracies are of.
    shares
        Of its filters that a layer keeps, above 0 and below 1.
    tolerance
        Accuracy that a layer may cost for ``keep``. Together the layers cost more than each alone,
        so the result says what their suggested shares do together.
    on_layer
        Called with a layer's name, its place and the number of layers, when it is tested.

    Raises
    ------
    InvalidInput
        A share or the tolerance is out of range, or as :func:`raiw.prune` says.
    CannotPrune
        No layer can lose a filter.
    """
    falling = _checked(shares, tolerance)
    masked, groups = traced(model, inputs, ignored_layers)
    whole = accuracy(masked, data)
    tell = on_layer or (lambda *_: None)
    layers, choice = [], []
    for place, group in enumerate(groups.prunable, 1):
        tests = []
        for share in falling:
            channels = _left(group, share)
            tests.append(
                LayerOutcome(
                    share, int(channels.sum()), _without([(group, channels)], masked, data)
                )
            )
        found = LayerSensitivity(
            tuple(member.name for member in group.filters),
            group.size,
            tuple(tests),
            tolerated(tests, whole - tolerance),
        )
        layers.append(found)
        choice.append((group, _left(group, found.keep)))
        tell(group.name, place, len(groups.prunable))
    smaller = cut(masked, choice)
    return Sensitivity(
        whole,
        tolerance,
        tuple(layers),
        together=accuracy(smaller, data),
        weights=Spec.from_model(smaller).plan().weights,
        dense_weights=Spec.from_model(masked).plan().weights,
    )


def _checked(shares: Iterable[float], tolerance: float) -> list[float]:
    falling = sorted(set(shares), reverse=True)
    if not falling or not all(0 < share < 1 for share in falling):
        raise InvalidInput(f"shares are {falling}: give some above 0 and below 1")
    if not 0 <= tolerance < 1:
        raise InvalidInput(f"tolerance is {tolerance}: give the accuracy to lose, 0 to below 1")
    return falling


def _left(group: Group, share: float) -> Bools:
    """Return the channels that stay, as many as ``keep`` leaves."""
    return remove_lowest(group, filter_norms(group), group.size - max(1, round(share * group.size)))


def _without(choice: Sequence[tuple[Group, Bools]], model: nn.Module, data: Dataset) -> float:
    changed = copy.deepcopy(model)
    clear(changed, choice)
    return accuracy(changed, data)


def tolerated(tests: Sequence[LayerOutcome], least: float) -> float:
    """Return the last share before the first test that is below ``least``."""
    keep = 1.0
    for test in tests:
        if test.accuracy < least:
            break
        keep = test.share
    return keep
