"""AFIE by epoch: the paper's claim that one epoch is enough, on a network trained on digits.

The paper's networks are AlexNet on MNIST, VGG-16 on CIFAR-10 and ResNet-50 on ImageNet.
"""

from raiw.budgets.afie import shape_score
from raiw.pictures.drawing import headed
from raiw.pictures.lines import Line, line_chart
from raiw.pictures.palette import MARKERS, Look
from raiw.pictures.panels import panels
from raiw.reproduction.digits import DATA, NETWORK, TrainedNetwork, trained
from raiw.reproduction.picture import DataRow, Picture
from raiw.reproduction.rows import Row, uncompared
from raiw.specs.spec import Spec

_CLAIM = "identical after one epoch and after training"
_WHY = f"{NETWORK} on {DATA}, not the paper's networks and data; the shape alone decides nearly all"


def afie_epochs() -> list[Row]:
    """Return the scores before training, after one epoch and at the end."""
    run = trained()
    rows = []
    for layer, alone in _alone(run).items():
        first, one, last = (run.scores[place][layer] for place in (0, 1, -1))
        numbers = f"{one:.5f}, {last:.5f} (before training {first:.5f}, shape alone {alone:.5f})"
        rows.append(uncompared(f"{layer}, AFIE after one epoch and all", _CLAIM, numbers, _WHY))
    accuracies = f"{run.accuracies[0]:.1%}, {run.accuracies[-1]:.1%}"
    rows.append(uncompared("accuracy after one epoch and all", "", accuracies, _WHY))
    return rows


def draw_afie_epochs() -> list[Picture]:
    """Draw the scores and the accuracy by epoch."""
    run = trained()
    alone = _alone(run)
    lines = [
        Line(
            name=layer,
            points=[(float(epoch), scores[layer]) for epoch, scores in enumerate(run.scores)],
            look=Look(f"series-{place + 1}", MARKERS[place]),
            marked=True,
        )
        for place, layer in enumerate(alone)
    ]
    last = float(len(run.accuracies))
    controls = [
        Line(
            name="shape alone",
            points=[(0.0, alone[line.name]), (last, alone[line.name])],
            look=Look("muted", "circle"),
            dashed=True,
        )
        for line in lines
    ]
    accuracy = Line(
        name="test accuracy",
        points=[(float(epoch), 100 * share) for epoch, share in enumerate(run.accuracies, 1)],
        look=Look("ink", "circle"),
        marked=True,
    )
    drawings = [
        line_chart(
            [*controls, *lines],
            key=[*lines, controls[0]],
            x="epochs of training",
            y="AFIE, nats a filter",
            title="Score of each layer",
            description=f"No score moves by more than {_moved(run):.1%} over training.",
            whole=True,
        ),
        line_chart(
            [accuracy],
            x="epochs of training",
            y="test accuracy, %",
            title="Accuracy",
            description=f"{run.accuracies[0]:.1%} after one epoch, {run.accuracies[-1]:.1%} at the "
            "end.",
            whole=True,
        ),
    ]
    records: list[DataRow] = [
        {
            "epoch": epoch,
            **{f"afie_{layer}": round(score, 6) for layer, score in scores.items()},
            "test_accuracy": round(run.accuracies[epoch - 1], 6) if epoch else "",
        }
        for epoch, scores in enumerate(run.scores)
    ]
    return [
        Picture.of(
            "afie-epochs",
            panels([[headed(each, each.title) for each in drawings]], title="AFIE by epoch"),
            records,
            "AFIE by epoch of training",
            f"{NETWORK} on {DATA}, seed 0: not the paper's networks and data. Scores move by "
            f"{_moved(run):.1%} at most, and stand where the shape alone puts them before any "
            "training: that they agree after one epoch shows no importance.",
        )
    ]


def _alone(run: TrainedNetwork) -> dict[str, float]:
    """Return the scores of the shapes alone."""
    layers = {layer.name: layer for layer in Spec.from_model(run.model).layers}
    return {name: shape_score(*layers[name].graph_shape) for name in run.scores[0]}


def _moved(run: TrainedNetwork) -> float:
    """Return how far any score moves over training, as a share of it."""
    return max(
        max(abs(scores[layer] / first - 1) for scores in run.scores)
        for layer, first in run.scores[0].items()
    )
