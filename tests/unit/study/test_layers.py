"""Reports of layers: what each can lose, and what its spectrum says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from raiw.budgets.afie import shape_score
from raiw.cli.app import run
from raiw.errors import CannotPrune, InvalidInput
from raiw.nets.resnet import cifar100
from raiw.pruning.prune import prune
from raiw.specs.spec import Spec
from raiw.study.layers.report import write_sensitivity, write_spectra
from raiw.study.layers.sensitivity import LayerOutcome, sensitivity, tolerated
from raiw.study.layers.spectra import afie_scores, spectra
from raiw.training.data.dataset import ArraySplit, Dataset
from raiw.training.data.registry import open_dataset
from raiw.training.testing import accuracy
from raiw.training.train import Trained, train


def data_of(pixels: np.ndarray, labels: list[int]) -> Dataset:
    split = ArraySplit(pixels.astype(np.float32), np.array(labels))
    return Dataset(
        name="made",
        shape=pixels.shape[1:],
        classes=max(labels) + 1,
        train=split,
        test=split,
        folder=Path(),
        files=(),
    )


@pytest.fixture(scope="module")
def signs() -> tuple[nn.Module, Dataset]:
    """Two filters see the sign of one pixel, two smaller ones that of the other."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False)
    )
    sides = torch.tensor([[-1.0, 1, -1, 1], [-1, 1, 1, -1], [1, -1, -1, 1], [1, -1, 1, -1]])
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
        model[3].weight[:] = sides
    pixels = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]).reshape(4, 1, 1, 2)
    return model, data_of(pixels, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("tolerance", "keep", "together"), [(0, 0.75, 1), (0.49, 0.75, 1), (0.5, 0.25, 0.5)]
)
def test_sensitivity_by_hand(
    signs: tuple[nn.Module, Dataset], tolerance: float, keep: float, together: float
) -> None:
    """Without the second filter of a sign a draw decides for the right class; without both, not."""
    model, data = signs
    found = sensitivity(
        model, torch.ones(2, 1, 1, 2), data, shares=[0.25, 0.75, 0.5], tolerance=tolerance
    )
    assert found.accuracy == 1
    (layer,) = found.layers
    tests = [(test.share, test.filters, test.accuracy) for test in layer.tests]
    assert tests == [(0.75, 3, 1), (0.5, 2, 0.5), (0.25, 1, 0.5)]
    assert found.keep == {"1": keep}
    assert found.together == together
    assert (found.weights, found.dense_weights) == (24 * keep, 24)


def test_a_share_is_not_suggested_below_one_that_costs_too_much() -> None:
    """Though accuracy rises again."""
    tests = [LayerOutcome(0.9, 9, 0.95), LayerOutcome(0.5, 5, 0.8), LayerOutcome(0.1, 1, 0.95)]
    assert [tolerated(tests, least) for least in (0.99, 0.9, 0.8)] == [1, 0.9, 0.1]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return open_dataset("digits", ".")


@pytest.fixture(scope="module")
def trained() -> Trained:
    recipe = {"epochs": 2, "batch": 32, "augment": False}
    return train("digits-cnn", recipe=recipe, device="cpu")


def test_on_digits_each_test_is_what_pruning_that_layer_leaves(
    trained: Trained, digits: Dataset
) -> None:
    inputs = torch.randn(2, 1, 8, 8)
    seen: list[tuple[str, int, int]] = []
    found = sensitivity(
        trained.model, inputs, digits, shares=[0.5, 0.1], on_layer=lambda *at: seen.append(at)
    )
    names = ["conv1", "conv2", "conv3", "fc"]
    assert [layer.layers for layer in found.layers] == [(name,) for name in names]
    assert seen == [(name, place, 4) for place, name in enumerate(names, 1)]
    assert found.accuracy == trained.report.accuracy

    def pruned(keep: dict[str, float]) -> nn.Module:
        return prune(trained.model, inputs, "l1_filter", channel_sparsity=0.0, keep=keep).smaller

    for layer in found.layers:
        for test in layer.tests:
            left = pruned({layer.layers[0]: test.share})
            assert accuracy(left, digits) == test.accuracy
            assert len(left.get_submodule(layer.layers[0]).weight) == test.filters
    together = pruned(found.keep)
    assert accuracy(together, digits) == found.together
    assert Spec.from_model(together).plan().weights == found.weights


def test_layers_that_are_added_are_tested_as_one() -> None:
    torch.manual_seed(0)
    model = cifar100(8)
    random = np.random.default_rng(0)
    data = data_of(random.normal(size=(6, 3, 8, 8)), [*range(6)])
    inputs = torch.randn(2, 3, 8, 8)
    found = sensitivity(model, inputs, data, shares=[0.5], tolerance=0.9)
    assert len(found.layers) == 6
    assert {"conv1", "layer1.0.conv2"} in [{*layer.layers} for layer in found.layers]
    assert found.keep.keys() >= {"conv1", "layer1.0.conv2"}
    smaller = prune(model, inputs, "l1_filter", channel_sparsity=0.0, keep=found.keep).smaller
    assert Spec.from_model(smaller).plan().weights == found.weights
    assert found.weights < found.dense_weights / 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shares": []}, "above 0 and below 1"),
        ({"shares": [0.5, 1.0]}, "above 0 and below 1"),
        ({"shares": [0.0]}, "above 0 and below 1"),
        ({"tolerance": -0.1}, "tolerance is -0.1"),
        ({"tolerance": 1.0}, "tolerance is 1.0"),
    ],
)
def test_bad_shares_are_refused(signs: tuple[nn.Module, Dataset], options, words: str) -> None:
    model, data = signs
    with pytest.raises(InvalidInput, match=words):
        sensitivity(model, torch.ones(2, 1, 1, 2), data, **options)


def test_a_network_of_one_layer_has_nothing_to_test(signs: tuple[nn.Module, Dataset]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 4))
    with pytest.raises(CannotPrune, match="no layer of the network can lose filters"):
        sensitivity(model, torch.ones(2, 1, 1, 2), signs[1])


def square(*singular: float) -> nn.Module:
    layer = nn.Linear(len(singular), len(singular), bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.diag(torch.tensor(singular))
    return nn.Sequential(layer)


def test_spectra_by_hand() -> None:
    """Singular values 1 and 0 have shares e/(1 + e) and 1/(1 + e); equal ones a half each."""
    models = {"apart": square(1, 0), "twice": square(2, 0), "equal": square(3, 3)}
    found = spectra({name: afie_scores(one) for name, one in models.items()}, models["equal"])
    large = math.e / (1 + math.e)
    apart = -(large * math.log(large) + (1 - large) * math.log(1 - large)) / 2
    (layer,) = found.layers
    assert layer.scores == pytest.approx((apart, apart, math.log(2) / 2))
    assert layer.shape == pytest.approx(math.log(2) / 2) == shape_score(2, 2)
    assert layer.moved == pytest.approx(math.log(2) / 2 / apart - 1)
    assert found.states == ("apart", "twice", "equal")
    fallen = {name: afie_scores(models[name]) for name in ("equal", "apart")}
    (layer,) = spectra(fallen, models["equal"]).layers
    assert layer.moved == pytest.approx(1 - apart / (math.log(2) / 2))


def test_states_of_other_networks_are_refused() -> None:
    one = afie_scores(square(1, 2))
    with pytest.raises(InvalidInput, match="state 'b' is of another network: 0, 1"):
        spectra({"a": one, "b": {"1": 0.5}}, square(1, 2))
    with pytest.raises(InvalidInput, match="no layer has a spectrum"):
        spectra({"a": {}}, square(1.0))


def test_the_reports_are_files(
    trained: Trained, signs: tuple[nn.Module, Dataset], tmp_path: Path
) -> None:
    found = sensitivity(signs[0], torch.ones(2, 1, 1, 2), signs[1], shares=[0.75, 0.5])
    scores = {"one": afie_scores(trained.model), "two": afie_scores(trained.model)}
    paths = write_sensitivity(found, "signs", tmp_path)
    paths += write_spectra(spectra(scores, trained.model), "digits-cnn", tmp_path)
    names = [f"{name}.{form}" for name in ("sensitivity", "afie") for form in ("md", "json", "svg")]
    assert [path.name for path in paths] == names
    text = (tmp_path / "sensitivity.md").read_text()
    assert "| 1 | 4 | 100.00 | 50.00 | 0.75 |" in text
    assert "--keep 1=0.75. All of them together leave 18 of 24 weights and 100.00" in text
    assert json.loads((tmp_path / "sensitivity.json").read_text())["keep"] == {"1": 0.75}
    afie = json.loads((tmp_path / "afie.json").read_text())
    assert [layer["layer"] for layer in afie["layers"]] == ["conv2", "conv3", "fc", "head"]
    assert {layer["moved"] for layer in afie["layers"]} == {0}
    before = [path.read_bytes() for path in paths]
    write_sensitivity(found, "signs", tmp_path)
    write_spectra(spectra(scores, trained.model), "digits-cnn", tmp_path)
    assert [path.read_bytes() for path in paths] == before


def test_the_commands_say_what_the_library_does(
    trained: Trained, digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(trained.model.state_dict(), weights)
    asked = ["sensitivity", "digits-cnn", "-w", str(weights), "--data", "digits"]
    assert run([*asked, "--shares", "0.5,0.1", "--tolerance", "0.02", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = sensitivity(
        trained.model, torch.randn(2, 1, 8, 8), digits, shares=[0.5, 0.1], tolerance=0.02
    )
    assert told == json.loads(json.dumps(found.to_json()))
    assert run(["afie", "digits-cnn", "-w", str(weights), "-o", str(tmp_path / "layers")]) == 0
    shown = capsys.readouterr().out
    assert "shape alone" in shown
    assert {path.name for path in (tmp_path / "layers").iterdir()} == {
        "afie.md",
        "afie.json",
        "afie.svg",
    }
    assert run([*asked, "--shares", "half"]) == 2
    assert "write numbers separated by commas" in capsys.readouterr().err
