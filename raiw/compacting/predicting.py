"""How long layers would take, dense and compact, predicted from a machine's table."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from raiw.compacting import WORTH
from raiw.compacting.table import SpeedTable, TimedLayer, Work
from raiw.errors import InvalidInput
from raiw.graphs import Floats
from raiw.names import listed
from raiw.specs.plan import Plan
from raiw.specs.planned import PlannedLayer

_TOGETHER = 8
"""Most outputs that raiw's own kernel takes together, as in :mod:`raiw.compacting.kernels`."""

_NEAREST = 4
"""Measurements that correct the formula for a layer like theirs."""

_EQUAL = 0.05
"""Distance, in natural logarithms of sizes, below which layers count as the same."""


@dataclass(frozen=True, slots=True)
class LayerSpeed:
    """Seconds that a layer would take."""

    name: str
    dense: float
    condensed: float | None
    """In raiw's own kernel; None for layers that stay dense."""

    @property
    def choice(self) -> str:
        """The form to expect."""
        worth = self.condensed is not None and self.condensed < WORTH * self.dense
        return "condensed" if worth else "dense"

    @property
    def compact(self) -> float:
        """Seconds of the form to expect."""
        return self.dense if self.condensed is None else min(self.dense, self.condensed)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the layers of a plan would take, without what lies between them."""

    batch: int
    threads: int
    layers: tuple[LayerSpeed, ...]
    error: float
    """Median relative error of the table's measurements, each predicted from the others."""

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON-serialisable values; times in milliseconds."""
        dense = sum(layer.dense for layer in self.layers)
        compact = sum(layer.compact for layer in self.layers)
        return {
            "batch": self.batch,
            "threads": self.threads,
            "dense_ms": 1e3 * dense,
            "compact_ms": 1e3 * compact,
            "speedup": dense / compact,
            "error": self.error,
            "layers": [
                {
                    "name": layer.name,
                    "ms": {"dense": 1e3 * layer.dense}
                    | ({} if layer.condensed is None else {"condensed": 1e3 * layer.condensed}),
                    "choice": layer.choice,
                    "speedup": layer.dense / layer.compact,
                }
                for layer in self.layers
            ],
        }


class Predictor:
    """A formula for the time of a layer, corrected by the measurements nearest to it.

    The time of each class of layers (linear, 1×1 or larger kernel; dense, or so many outputs
    together) is a sum, with coefficients of at least zero, of one call, its products, its weights
    and its numbers in and out. The logarithm of what was measured over that sum is averaged over
    the nearest measurements, by the inverse square of their distance in the logarithms of sizes.
    """

    def __init__(self, table: SpeedTable) -> None:
        self.threads = table.threads
        classes: dict[Any, list[TimedLayer]] = defaultdict(list)
        for point in table.points:
            classes[_class(point.work)].append(point)
        self._classes = {name: _Class(points) for name, points in classes.items()}
        self.error = float(np.median([each for c in self._classes.values() for each in c.errors()]))

    def seconds(self, work: Work) -> float:
        """Return the time of a layer."""
        return self._classes[_class(work)].seconds(work)

    def predict(self, plan: Plan, batch: int) -> Prediction:
        """Predict the time of each layer of a plan.

        Raises
        ------
        InvalidInput
            A layer does not say at how many positions it is applied.
        """
        unknown = [planned.name for planned in plan.layers if planned.layer.positions is None]
        if unknown:
            raise InvalidInput(
                f"nobody says at how many places these layers are applied: {listed(unknown, 4)}; "
                f"give them positions, or read the spec from the network with an example input"
            )
        layers = tuple(self._layer(planned, batch) for planned in plan.layers)
        return Prediction(batch, self.threads, layers, self.error)

    def _layer(self, planned: PlannedLayer, batch: int) -> LayerSpeed:
        layer = planned.layer
        out, n_in = planned.shape
        dense = Work(
            outputs=out,
            inputs=n_in,
            taps=layer.taps,
            positions=layer.positions or 1,
            batch=batch,
            edges=planned.cells,
            linear=layer.kind.startswith("linear"),
            shared=0,
        )
        masked = None
        if not (planned.dense or layer.transposed):
            together = math.gcd(planned.group_outputs, _TOGETHER)
            masked = self.seconds(replace(dense, edges=planned.edges, shared=together))
        return LayerSpeed(planned.name, self.seconds(dense), masked)


class _Class:
    """Measurements of layers of one class."""

    def __init__(self, points: Sequence[TimedLayer]) -> None:
        self._points = points
        self._sums = _sums([point.work for point in points])
        self._seconds = np.array([point.seconds for point in points])
        # Relative errors count, so every equation is divided by what was measured.
        self._factors, _ = nnls(
            self._sums / self._seconds[:, None], np.ones(len(points)), maxiter=1000
        )
        self._sizes = np.array([_sizes(point.work) for point in points])
        self._over = np.log(self._seconds / (self._sums @ self._factors))

    def seconds(self, work: Work) -> float:
        return self._near(work, np.ones(len(self._points), bool))

    def errors(self) -> Iterable[float]:
        """Return the relative error of each measurement, predicted from the others."""
        for place, point in enumerate(self._points):
            others = np.arange(len(self._points)) != place
            if others.any():
                yield abs(self._near(point.work, others) / point.seconds - 1)

    def _near(self, work: Work, use: npt.NDArray[np.bool_]) -> float:
        apart = np.linalg.norm(self._sizes[use] - _sizes(work), axis=1)
        nearest = np.argsort(apart, kind="stable")[:_NEAREST]
        weights = 1 / (apart[nearest] ** 2 + _EQUAL**2)
        over = np.average(self._over[use][nearest], weights=weights)
        return float((_sums([work]) @ self._factors)[0] * np.exp(over))


def _class(work: Work) -> tuple[str, int]:
    kind = "linear" if work.linear else "pointwise" if work.taps == 1 else "spatial"
    return kind, work.shared


def _sums(work: Sequence[Work]) -> Floats:
    return np.array(
        [
            (
                1e-6,
                1e-11 * each.edges * each.taps * each.positions * each.batch,
                1e-10 * each.edges * each.taps,
                1e-10 * (each.inputs + each.outputs) * each.positions * each.batch,
            )
            for each in work
        ]
    )


def _sizes(work: Work) -> Floats:
    sizes = (work.outputs, work.inputs, work.positions, work.batch)
    return np.log([*sizes, max(work.edges, 1) / work.inputs, work.taps])
