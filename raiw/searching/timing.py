"""Milliseconds of networks that a search tries: predicted from the machine's table, and measured.

A table knows layers. What lies between them takes its time too: for each network it is the
difference between a measurement and its prediction, and corrected where one of what was found is
not met.
"""

from typing import Any

import torch
from torch import nn

from raiw.compacting.calibrating import calibrate
from raiw.compacting.machine import machine
from raiw.compacting.predicting import Predictor
from raiw.compacting.speed import measure_speed
from raiw.compacting.table import load_table
from raiw.masks import MaskSet
from raiw.specs.plan import Plan

MEASURED_SECONDS = 0.1
"""Time spent on the forms of each layer; the whole network takes ten times as long."""


class Clock:
    """Predicts and measures, for one batch size and as many threads as this process has."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._threads = torch.get_num_threads()
        table = load_table(machine(), self._threads)
        if table is None:
            table = calibrate(self._threads)
            table.save()
        self._predictor = Predictor(table)

    def layers_ms(self, plan: Plan) -> float:
        """Return the time of the layers of a plan, in the faster form of each."""
        predicted = self._predictor.predict(plan, self._batch)
        return 1e3 * sum(layer.compact for layer in predicted.layers)

    def measure(self, model: nn.Module, masks: MaskSet, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the times of the dense and the compact network, ``dense_ms`` and ``ms``."""
        found = measure_speed(
            model.eval(), masks, shape, self._batch, self._threads, seconds=MEASURED_SECONDS
        )
        return {
            "ms": 1e3 * found.seconds,
            "dense_ms": 1e3 * found.dense_seconds,
            "batch": self._batch,
            "threads": self._threads,
        }
