"""The curves of a training, from the events it has left."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from raiw.pictures.drawing import Anchor, Box, Drawing, Path, Shape, Words
from service.contract.jobs import EventView

Epochs = Sequence[dict[str, Any]]

_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 34
_COLOURS = 7
_MARKS = 4
_MOST_POINTS = 400
"""Of one line: more than the pixels it is drawn with."""


@dataclass(frozen=True, slots=True)
class SeedRun:
    """What the training of one seed has come to."""

    seed: int
    last: dict[str, Any]
    best: float


@dataclass(frozen=True, slots=True)
class Curves:
    """What a training measured, epoch by epoch."""

    accuracy: Markup
    loss: Markup
    rows: list[SeedRun]


def training_curves(events: Iterable[EventView]) -> Curves | None:
    """Return the curves of a job's events; None where they have no measurements."""
    by_seed: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for event in events:
        metrics = event.data.get("metrics")
        if event.event == "progress" and isinstance(metrics, dict) and "epoch" in metrics:
            by_seed[event.data.get("seed", 0)][metrics["epoch"]] = metrics
    if not by_seed:
        return None
    runs = {seed: [epochs[number] for number in sorted(epochs)] for seed, epochs in by_seed.items()}
    return Curves(
        accuracy=_chart("Test accuracy", runs, {"test_accuracy": "test"}),
        loss=_chart("Loss", runs, {"test_loss": "test", "train_loss": "training"}),
        rows=[
            SeedRun(seed, epochs[-1], max(epoch["test_accuracy"] for epoch in epochs))
            for seed, epochs in runs.items()
        ],
    )


def _chart(title: str, runs: Mapping[int, Epochs], measures: Mapping[str, str]) -> Markup:
    """Draw a line for each seed and measure; the second measure is dashed."""
    values = [epoch[name] for run in runs.values() for epoch in run for name in measures]
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    last = max(run[-1]["epoch"] for run in runs.values())

    def at(epoch: int, value: float) -> tuple[float, float]:
        across = (epoch - 1) / max(last - 1, 1)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    shapes: list[Shape] = [Words(x=0, y=13, text=title, colour="ink", bold=True)]
    shapes += _legend(runs, measures)
    for value in ticks:
        y = at(1, value)[1]
        shapes.append(Box(x=_LEFT, y=y, width=_WIDTH - _LEFT - _RIGHT, height=1, colour="grid"))
        shapes.append(Words(x=_LEFT - 6, y=y + 4, text=f"{value:.4g}", anchor="end"))
    for epoch in sorted({1, last}):
        anchor: Anchor = "start" if epoch == 1 else "end"
        shapes.append(
            Words(x=at(epoch, low)[0], y=_HEIGHT - 14, text=f"epoch {epoch}", anchor=anchor)
        )
    for place, run in enumerate(runs.values()):
        for dashed, name in enumerate(measures):
            points = [at(epoch["epoch"], epoch[name]) for epoch in _thinned(run)]
            colour = f"series-{place % _COLOURS + 1}"
            shapes.append(
                Path(points=points, colour=colour, width=1.6, dashed=bool(dashed))
                if len(points) > 1
                else Box(x=points[0][0] - 2, y=points[0][1] - 2, width=4, height=4, colour=colour)
            )
    drawing = Drawing(
        width=_WIDTH,
        height=_HEIGHT,
        title=title,
        description=f"{title} by epoch; the table below has the last values of each seed.",
        shapes=tuple(shapes),
    )
    return Markup(drawing.inline())  # noqa: S704 -- SVG that escapes its words


def _legend(runs: Mapping[int, Epochs], measures: Mapping[str, str]) -> list[Shape]:
    words = []
    if len(measures) > 1:
        words.append(f"{' (line), '.join(measures.values())} (dashed)")
    if 1 < len(runs) <= _COLOURS:
        words.append(f"{len(runs)} seeds, a colour each")
    return [Words(x=_WIDTH - _RIGHT, y=13, text=" · ".join(words), anchor="end")] if words else []


def _thinned(run: Epochs) -> Epochs:
    step = max(1, -(-len(run) // _MOST_POINTS))
    return [*run[::step], *([run[-1]] if (len(run) - 1) % step else [])]


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose a range.

    >>> _ticks(0.12, 0.93)
    [0.0, 0.5, 1.0]
    """
    spread = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(spread / _MARKS))
    step = next(power * part for part in (1, 2, 5, 10) if power * part * _MARKS >= spread)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 12) for place in range(first, max(last, first + 1) + 1)]
