"""The pictures of a network trained on digits: their numbers are those of the training."""

import csv
import io

import numpy as np
import pytest

pytest.importorskip("torch")

from raiw.budgets.afie import afie_score, shape_score
from raiw.cli.app import run
from raiw.importance.regression import refit, relative_error
from raiw.reproduction import digits, sparsity
from raiw.reproduction.registry import item
from raiw.training.initial import initialised
from raiw.training.testing import accuracy
from raiw.training.train import train


@pytest.fixture(scope="module", autouse=True)
def short():
    """Train for two epochs, and prune by two options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(digits.RECIPE, "epochs", 2)
        patch.setattr(sparsity, "_RIDGES", (1e-3, 1.0))
        digits.trained.cache_clear()
        yield
    for cached in (digits.trained, sparsity.sparsified, sparsity._moments):
        cached.cache_clear()


def rows_of(picture):
    return list(csv.DictReader(io.StringIO(picture.csv())))


def test_scores_by_epoch_are_those_of_the_weights():
    (picture,) = item("afie-epochs").draw()
    rows = rows_of(picture)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    with digits.one_thread():
        done = train("digits-cnn", data="digits", recipe=digits.RECIPE, device="cpu")
    measured = [epoch.test_accuracy for epoch in done.report.history]
    assert [float(row["test_accuracy"]) for row in rows[1:]] == pytest.approx(measured, abs=1e-6)
    drawn = initialised("digits-cnn", None, 0)
    for name in ("conv2", "conv3", "fc", "head"):
        weight = done.model.get_submodule(name).weight.detach().double().numpy()
        assert float(rows[-1][f"afie_{name}"]) == pytest.approx(afie_score(weight), abs=1e-6)
        first = drawn.get_submodule(name).weight.detach().double().numpy()
        assert float(rows[0][f"afie_{name}"]) == pytest.approx(afie_score(first), abs=1e-6)
        alone = shape_score(*weight.shape[:2])
        assert abs(float(rows[0][f"afie_{name}"]) - alone) <= 0.1233 / weight.shape[0]


def test_probabilities_and_sparsities_are_those_of_the_pruning():
    (picture,) = item("entropic-sparsity").draw()
    rows = rows_of(picture)
    networks = [row for row in rows if row["what"] == "network"]
    assert len(networks) == 2 * len({row["entropy_term"] for row in networks}) == 6
    assert all(0 < float(row["sparsity"]) < 1 for row in networks)
    for term in {row["entropy_term"] for row in networks}:
        weak, strong = (float(r["sparsity"]) for r in networks if r["entropy_term"] == term)
        assert weak < strong
        w = [
            float(r["probability"]) for r in rows if r["entropy_term"] == term and r["probability"]
        ]
        assert len(w) == 32
        assert sum(w) == pytest.approx(1, abs=1e-4)
        assert min(w) >= 0
    dense = digits.trained()
    assert accuracy(dense.model, dense.dataset) == dense.accuracies[-1]
    # A layer is linear in its patches, so all channels together leave no error.
    moments = sparsity._moments()
    everything = refit(moments, np.ones(moments.channels, np.bool_))
    assert abs(relative_error(moments, everything)) < 1e-6
    left = [int(np.count_nonzero(sparsity.probabilities(e))) for e in (0.0, 0.03)]
    assert left[1] < left[0]


def test_they_are_drawn_when_named_and_say_what_they_are_of(tmp_path, capsys):
    assert run(["reproduce", "afie-epochs", "--pictures", str(tmp_path)]) == 0
    shown = (tmp_path / "afie-epochs.svg").read_text()
    assert "digits-cnn on digits" in shown
    assert "not the paper" in shown
    assert "digits-cnn on digits, not the paper" in capsys.readouterr().out
