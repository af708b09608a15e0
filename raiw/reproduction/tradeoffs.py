"""Figures 4a and 4b of RAIW: errors on CIFAR-100 against weights.

Weights are counted. Errors come from training: those that the text prints are drawn as rings, and
those of results that are handed over as dots. No other is drawn.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raiw.errors import InvalidInput
from raiw.pictures.axes import Axis
from raiw.pictures.drawing import Drawing, Shape, Words
from raiw.pictures.drawing import Path as Polyline
from raiw.pictures.lines import LEFT, RIGHT, Line, line_chart, mark
from raiw.pictures.palette import Look
from raiw.pictures.panels import panels
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.results import TrainingResult
from raiw.reproduction.rows import Row, compared, millions, needs_training, uncompared
from raiw.specs.spec import Spec

DATASET = "cifar100"
_LOOKS = {"original": Look("series-1", "circle"), "RAIW": Look("series-2", "square")}
_FITTED = "transitions that keep degree 60 are the simplest of several rules that give the number"
_HALVES = "the text prints no number of its own; halves of all block convolutions are counted"
_SHORTCUTS = "with 1x1 convolutions as shortcuts, which the text does not say"
_UNPRINTED = "the text leaves it out"
_RULES = {
    "figure4a": "by the rule of Resnet-110; the text leaves it out",
    "figure4b": "by the rule of Densenet-BC-40-60; the text leaves it out",
}
_ERROR_56, _DROP = "28.89", "0.8"
_WIDTH, _ROOM = 560, 0.5
"""Of the picture, and per cent around the errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnNetwork:
    """A point of the figure."""

    series: str
    label: str
    name: str
    """In the catalogue; the network trained has this name, or that behind ``raiw/``."""
    printed: str = ""
    """Number of weights in the text."""
    error: str = ""
    """Error in the text, in per cent."""
    note: str = ""

    @property
    def trained(self) -> str:
        """Name of the network that is trained."""
        return self.name.removeprefix("raiw/")

    @property
    def title(self) -> str:
        """What it is called in a table."""
        return self.label if self.series == "original" else f"RAIW on {self.label}"

    def weights(self) -> int:
        """Return the number of weights."""
        dense = {"craft": {"density": 1.0}} if self.series == "original" else {}
        return Spec.parse({"model": self.name} | dense).plan().weights


def _networks(family: str, label: str, **facts: dict[str, str]) -> tuple[DrawnNetwork, ...]:
    """Return the original and the crafted networks of a family."""
    sizes = ("32", "56", "110") if "resnet" in family else ("24", "48", "60")
    return tuple(
        DrawnNetwork(
            series=series,
            label=f"{label}{size}",
            name=f"{prefix}{family}{size}-{DATASET}",
            **facts.get(f"{series}_{size}", {}),
        )
        for series, prefix in (("original", ""), ("RAIW", "raiw/"))
        for size in sizes
    )


FIGURES = {
    "figure4a": _networks(
        "resnet",
        "Resnet-",
        original_56={"printed": "0.86M", "error": _ERROR_56, "note": _SHORTCUTS},
        RAIW_110={
            "printed": "similar to 0.86M",
            "error": f"{float(_ERROR_56) - float(_DROP):.2f}",
            "note": _HALVES,
        },
    ),
    "figure4b": _networks(
        "densenet-bc-40-",
        "Densenet-BC-40-",
        original_48={"printed": "2.76M", "error": "21.37"},
        RAIW_60={"printed": "2.10M", "error": "21.07", "note": _FITTED},
    ),
}
"""The points of each figure; of RAIW on Resnet-110 the text prints the distance to Resnet-56."""


def figure4a() -> list[Row]:
    """Return the weights of the ResNets of Figure 4a."""
    return _rows("figure4a")


def figure4b() -> list[Row]:
    """Return the weights of the DenseNets of Figure 4b."""
    return _rows("figure4b")


def params() -> list[Row]:
    """Return the weights and errors on CIFAR-100 that the text names."""
    return [row for name in FIGURES for row in _rows(name) if row.paper]


def draw_figure4a(results: Sequence[TrainingResult] = ()) -> list[Picture]:
    """Draw the ResNets of Figure 4a, with the errors of training where they are at hand."""
    return [_picture("figure4a", "ResNets", results)]


def draw_figure4b(results: Sequence[TrainingResult] = ()) -> list[Picture]:
    """Draw the DenseNets of Figure 4b, with the errors of training where they are at hand."""
    return [_picture("figure4b", "DenseNets", results)]


def _picture(figure: str, family: str, results: Sequence[TrainingResult]) -> Picture:
    errors = {network: errors_of(network, results) for network in FIGURES[figure]}
    weights = {network: network.weights() for network in FIGURES[figure]}
    across = (0.0, 1.06 * max(weights.values()) / 1e6)
    lines = [
        line
        for series, look in _LOOKS.items()
        for line in (_printed(series, look, weights), _found(series, look, weights, errors))
        if line.points
    ]
    shown = [error for line in lines for _, error in line.points]
    chart = line_chart(
        lines,
        x="weights, millions",
        y="error on CIFAR-100, %",
        title="Errors",
        description=" ".join(f"{line.name}: {', '.join(line.labels)}." for line in lines),
        width=_WIDTH,
        across=across,
        up=(math.floor(min(shown) - _ROOM), math.ceil(max(shown) + _ROOM)),
    )
    count = sum(map(bool, errors.values()))
    trained = f"Dots: {count} of {len(errors)} networks, by the results given. " if count else ""
    return Picture.of(
        figure,
        panels([[chart], [_counts(weights, across)]], title=f"{family}: error and weights"),
        [_record(network, weights[network], errors[network]) for network in weights],
        f"{family} on CIFAR-100: error against weights",
        f"Rings: errors that the paper's text prints. {trained}Below: the weights of every network "
        "of the figure, counted; the text prints no error of the others.",
    )


def errors_of(network: DrawnNetwork, results: Sequence[TrainingResult]) -> list[float]:
    """Return the errors of the runs that trained a network."""
    return [
        run.error
        for run in results
        if (run.dataset, run.network, run.weights) == (DATASET, network.trained, network.weights())
    ]


def check_results(results: Sequence[TrainingResult]) -> None:
    """Make sure that every result is of a network that a figure shows.

    Raises
    ------
    InvalidInput
        One is of another network, data set or number of weights.
    """
    shown = [network for networks in FIGURES.values() for network in networks]
    for result in results:
        if any(errors_of(network, [result]) for network in shown):
            continue
        known = ", ".join(
            f"{network.trained} with {network.weights():,} weights" for network in shown
        )
        raise InvalidInput(
            f"no figure shows {result.network!r} with {result.weights:,} weights on "
            f"{result.dataset!r}; Figure 4 has, on {DATASET!r}: {known}"
        )


def _printed(series: str, look: Look, weights: Mapping[DrawnNetwork, int]) -> Line:
    shown = [network for network in weights if network.series == series and network.error]
    return Line(
        name=f"{series}, printed",
        points=[(weights[network] / 1e6, float(network.error)) for network in shown],
        look=look,
        joined=False,
        marked=True,
        hollow=True,
        labels=[f"{network.label} {network.error} %" for network in shown],
    )


def _found(
    series: str,
    look: Look,
    weights: Mapping[DrawnNetwork, int],
    errors: Mapping[DrawnNetwork, list[float]],
) -> Line:
    shown = [network for network in weights if network.series == series and errors[network]]
    means = [statistics.fmean(errors[network]) for network in shown]
    return Line(
        name=f"{series}, trained",
        points=[(weights[each] / 1e6, mean) for each, mean in zip(shown, means, strict=True)],
        look=look,
        marked=True,
        labels=[f"{each.label} {mean:.2f} %" for each, mean in zip(shown, means, strict=True)],
        errors=[_deviation(errors[network]) for network in shown],
    )


def _deviation(errors: Sequence[float]) -> float:
    return statistics.stdev(errors) if len(errors) > 1 else 0.0


def _counts(weights: Mapping[DrawnNetwork, int], ends: tuple[float, float]) -> Drawing:
    """Draw the number of weights of every network, a row a series, below the chart's axis."""
    across = Axis(*ends, LEFT, _WIDTH - RIGHT)
    shapes: list[Shape] = []
    for row, (series, look) in enumerate(_LOOKS.items()):
        y = 14 + 52 * row
        shapes.append(Words(x=0, y=y + 4, text=series, colour=look.colour))
        shapes.append(Polyline(points=((LEFT, y), (_WIDTH - RIGHT, y)), colour="grid"))
        for network, count in weights.items():
            if network.series == series:
                x, words = across.at(count / 1e6), (network.label.split("-")[-1], millions(count))
                shapes += mark(x, y, look, says=f"{network.title}: {count:,} weights")
                shapes += [
                    Words(x=x, y=y + 18 + 14 * line, text=text, anchor="middle", colour=colour)
                    for line, (text, colour) in enumerate(zip(words, ("ink", "muted"), strict=True))
                ]
    says = "; ".join(f"{network.title} {count:,}" for network, count in weights.items())
    return Drawing(
        width=_WIDTH, height=112, title="Weights", description=f"{says}.", shapes=tuple(shapes)
    )


def _record(network: DrawnNetwork, weights: int, errors: Sequence[float]) -> DataRow:
    return {
        "series": network.series,
        "network": network.name,
        "weights": weights,
        "printed_error_percent": network.error,
        "trained_error_percent": round(statistics.fmean(errors), 4) if errors else "",
        "deviation": round(_deviation(errors), 4) if errors else "",
        "runs": len(errors),
    }


def _rows(figure: str) -> list[Row]:
    rows = []
    for network in FIGURES[figure]:
        label, ours = f"{network.title}, weights", millions(network.weights())
        if not network.printed:
            why = _UNPRINTED if network.series == "original" else _RULES[figure]
            rows.append(uncompared(label, "", ours, why))
        elif network.printed.startswith("similar"):
            rows.append(uncompared(label, network.printed, ours, network.note))
        else:
            rows.append(compared(label, network.printed, ours, note=network.note))
        if network.error and figure == "figure4a" and network.series == "RAIW":
            label = f"{network.title}, drop of the error from Resnet-56"
            rows.append(needs_training(label, f"{_DROP}%"))
        elif network.error:
            rows.append(needs_training(f"{network.title}, error", f"{network.error}%"))
    return rows
