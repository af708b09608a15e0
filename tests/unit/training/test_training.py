"""Training: the recipe's arithmetic, masks held, runs that are interrupted, bad input."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import raiw
from raiw.cli.app import run
from raiw.errors import (
    Diverged,
    InvalidData,
    InvalidInput,
    InvalidSpec,
    NotFound,
    OutOfMemory,
)
from raiw.jobs.network import NamedNetwork
from raiw.jobs.prune import PruneJob
from raiw.jobs.run_prune import prune_network
from raiw.jobs.run_score import score_network
from raiw.jobs.workspace import Workspace
from raiw.readers.modules import read_module
from raiw.training.checkpoint import FILE
from raiw.training.data.ahead import ahead
from raiw.training.data.batches import batches
from raiw.training.data.dataset import ArraySplit, Dataset
from raiw.training.data.registry import open_dataset
from raiw.training.initial import initialised, scale_to_masks
from raiw.training.loop import TrainingLoop
from raiw.training.memory import memory_watched
from raiw.training.processes import Processes
from raiw.training.recipe import Recipe
from tests.unit.training.short_runs import QUICK, Interrupted, interrupt_after


def small_data(classes: int = 3, train: int = 10) -> Dataset:
    rng = np.random.default_rng(0)
    splits = [
        ArraySplit(
            rng.normal(size=(count, 1, 2, 2)).astype(np.float32),
            rng.integers(0, classes, count),
        )
        for count in (train, 5)
    ]
    return Dataset(
        name="small",
        shape=(1, 2, 2),
        classes=classes,
        train=splits[0],
        test=splits[1],
        folder=Path(),
        files=(),
    )


def test_the_recipe_halves_its_rate_down_to_a_floor():
    recipe = Recipe(learning_rate=0.8, learning_rate_floor=0.15, halve_every=2)
    rates = [recipe.learning_rate_at(epoch) for epoch in range(8)]
    assert rates == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.15, 0.15]


def test_an_epoch_is_nesterovs_gradient_descent():
    """One linear layer, two epochs, against the update written out in float64."""
    data = small_data()
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    weight = net[1].weight.detach().double().numpy().copy()
    bias = net[1].bias.detach().double().numpy().copy()
    recipe = Recipe(
        epochs=2, batch=4, learning_rate=0.1, halve_every=1, weight_decay=0.01, augment=False
    )
    trained = raiw.train(net, None, data, recipe=recipe, seed=5, device="cpu")
    moments = [np.zeros_like(weight), np.zeros_like(bias)]
    for epoch in range(2):
        rate, losses = 0.1 * 0.5**epoch, []
        for images, labels in batches(data, 4, seed=5, epoch=epoch, augment=False):
            x = images.reshape(len(images), -1).astype(np.float64)
            logits = x @ weight.T + bias
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            losses += (-np.log(p[np.arange(len(x)), labels])).tolist()
            error = (p - np.eye(3)[labels]) / len(x)
            for place, (value, gradient) in enumerate(
                ((weight, error.T @ x), (bias, error.sum(0)))
            ):
                decayed = gradient + 0.01 * value
                moments[place] = 0.9 * moments[place] + decayed
                np.subtract(value, rate * (decayed + 0.9 * moments[place]), out=value)
        assert trained.report.history[epoch].train_loss == pytest.approx(np.mean(losses), rel=1e-5)
        assert trained.report.history[epoch].learning_rate == rate
    np.testing.assert_allclose(net[1].weight.detach().numpy(), weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net[1].bias.detach().numpy(), bias, rtol=1e-4, atol=1e-6)


def test_a_rest_of_one_image_is_left_out():
    """Batch normalisation cannot take it."""
    net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten())
    report = raiw.train(net, None, small_data(train=9), recipe={"epochs": 1, "batch": 4}).report
    assert np.isfinite(report.history[0].train_loss)


def test_masks_are_held_and_the_report_counts_them(masks):
    report = raiw.train("digits-cnn", masks, "digits", recipe=QUICK).report
    assert report.mask_violations == 0
    assert report.weights == masks.weights
    assert report.dense_weights == masks.dense_weights
    assert report.masks == masks.digest
    assert report.accuracy > 0.3
    assert report.best_accuracy == max(epoch.test_accuracy for epoch in report.history)
    assert len(report.history) == 3


def test_a_sparse_start_has_the_variance_of_the_dense_one(masks):
    dense = initialised("digits-cnn", None, 3).get_parameter("fc.weight")
    sparse = initialised("digits-cnn", masks, 3).get_parameter("fc.weight")
    kept = torch.from_numpy(masks["fc"].numpy())
    factor = (256 / kept.sum(1, keepdim=True)).sqrt()
    torch.testing.assert_close(sparse[kept], (dense * factor)[kept])


def test_outputs_are_scaled_whichever_way_their_weights_lie():
    """Inputs may come first, in groups, and one parameter may hold several layers."""
    net = nn.ModuleDict(
        {"up": nn.ConvTranspose2d(8, 12, 2, groups=2), "attention": nn.MultiheadAttention(8, 2)}
    )
    masks = raiw.craft(raiw.Spec.from_model(net, density=0.5, algorithm="random"))
    dense = copy.deepcopy(net)
    scale_to_masks(net, masks)
    for before, after in zip(read_module(dense), read_module(net), strict=True):
        kept = masks[after.name].numpy()
        factors = np.sqrt(kept.shape[1] / kept.sum(1))[:, np.newaxis, np.newaxis]
        wanted = before.edges(before.weight.detach().numpy()) * factors
        np.testing.assert_allclose(after.edges(after.weight.detach().numpy()), wanted, rtol=1e-6)


@pytest.mark.parametrize("epochs", [1, 2])
def test_an_interrupted_run_ends_like_an_undisturbed_one(tmp_path, masks, epochs):
    recipe = QUICK | {"augment": True}
    whole = raiw.train("digits-cnn", masks, "digits", recipe=recipe, seed=1)
    with pytest.raises(Interrupted):
        raiw.train(
            "digits-cnn", masks, "digits", recipe=recipe, seed=1, folder=tmp_path,
            on_epoch=interrupt_after(epochs),
        )  # fmt: skip
    seen = []
    rest = raiw.train(
        "digits-cnn", masks, "digits", recipe=recipe, seed=1, folder=tmp_path,
        on_epoch=lambda epoch, _: seen.append(epoch.epoch),
    )  # fmt: skip
    assert seen == list(range(epochs + 1, 4))
    assert rest.report == whole.report
    for name, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[name], value)


def test_a_finished_run_is_read_and_not_repeated(tmp_path, masks):
    options = {"recipe": QUICK, "folder": tmp_path}
    first = raiw.train("digits-cnn", masks, "digits", **options)
    again = raiw.train("digits-cnn", masks, "digits", **options, on_epoch=interrupt_after(1))
    assert again.report == first.report


def test_batches_prepared_ahead_are_the_same_and_raise_in_their_turn():
    def images():
        yield from range(5)
        raise InvalidData("the sixth image is damaged")

    prepared = ahead(images(), 3)
    seen = [next(prepared) for _ in range(5)]
    with pytest.raises(InvalidData, match="sixth"):
        next(prepared)
    assert seen == [0, 1, 2, 3, 4]


def test_seeds_and_masks_make_other_runs(masks):
    quick = QUICK | {"epochs": 1}
    reports = [
        raiw.train("digits-cnn", chosen, "digits", recipe=quick, seed=seed).report.history
        for chosen, seed in ((masks, 0), (masks, 1), (None, 0))
    ]
    assert len(set(reports)) == 3


def test_slimming_shrinks_the_scales_of_batch_normalisation():
    def scales(strength: float) -> float:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 8, 2), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 3))
        recipe = {"epochs": 20, "batch": 5, "augment": False, "slimming": strength}
        raiw.train(net, None, small_data(), recipe=recipe)
        return float(net[1].weight.detach().abs().sum())

    assert scales(0.1) < 0.7 * scales(0.0)


def test_half_precision_learns_too(masks):
    recipe = QUICK | {"precision": "bfloat16"}
    report = raiw.train("digits-cnn", masks, "digits", recipe=recipe).report
    assert report.accuracy > 0.3
    assert report.mask_violations == 0


def test_a_diverging_run_fails_and_keeps_its_checkpoint(tmp_path):
    recipe = {"epochs": 3, "batch": 64, "augment": False, "learning_rate": 1e18}
    with pytest.raises(Diverged, match=r"loss of epoch 1 .* lower learning_rate"):
        raiw.train("digits-cnn", None, "digits", recipe=recipe, folder=tmp_path)
    assert not (tmp_path / FILE).exists()
    with pytest.raises(Interrupted):
        raiw.train(
            "digits-cnn", None, "digits", recipe=QUICK, folder=tmp_path,
            on_epoch=interrupt_after(1),
        )  # fmt: skip
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(InvalidInput, match="another run"):
        raiw.train("digits-cnn", None, "digits", recipe=recipe, folder=tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_run_that_diverges_by_its_last_step_fails(tmp_path):
    """The loss of the one step is that of the first weights; only the test sees the next ones."""
    recipe = {"epochs": 1, "batch": 2000, "augment": False, "learning_rate": 1e30}
    with pytest.raises(Diverged, match="loss of epoch 1"):
        raiw.train("digits-cnn", None, "digits", recipe=recipe, folder=tmp_path)


def test_what_leaves_no_step_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(InvalidData, match=r"there are 1 training images; .* give 2 or more"):
        raiw.train(net, None, small_data(train=1), recipe={"epochs": 1})
    two = Processes(0, 2, torch.device("cpu"))
    with pytest.raises(InvalidInput, match=r"batch is 2; each of 2 processes .* give 4 or more"):
        TrainingLoop(net, small_data(), Recipe(batch=2), 0, two)


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_a_seed_out_of_range_is_told(seed):
    with pytest.raises(InvalidInput, match=f"seed is {seed}"):
        raiw.train("digits-cnn", None, "digits", recipe=QUICK, seed=seed)


def test_only_what_lacks_memory_is_out_of_memory():
    with pytest.raises(OutOfMemory), memory_watched():
        torch.empty(1 << 60)
    for other in (RecursionError, torch.distributed.DistError):
        with pytest.raises(other), memory_watched():
            raise other("another fault")


def test_nan_in_the_data_is_found():
    data = small_data()
    data.train.pixels[3, 0, 1, 1] = np.nan
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(Diverged, match="NaN in the data"):
        raiw.train(net, None, data, recipe={"epochs": 1})


def test_what_does_not_fit_is_told(tmp_path, masks):
    digits = open_dataset("digits", ".")
    with pytest.raises(InvalidData, match=r"does not take the images .*\(1, 8, 8\)"):
        raiw.train("lenet-mnist", None, "digits")
    with pytest.raises(InvalidData, match="has 7 classes, 'digits-cnn' has outputs of shape"):
        raiw.train("digits-cnn", None, replace(digits, classes=7))
    with pytest.raises(NotFound, match="cifar10"):
        raiw.train("vgg16-cifar10", None, "cifar10", data_dir=tmp_path)
    with pytest.raises(InvalidInput, match="conv3"):
        raiw.train("lenet-mnist", masks, "digits")
    with pytest.raises(InvalidSpec, match="batch"):
        raiw.train("digits-cnn", None, "digits", recipe={"batch": 1})
    with pytest.raises(InvalidSpec, match="did you mean 'epochs'"):
        raiw.train("digits-cnn", None, "digits", recipe={"epoch": 1})
    with pytest.raises(InvalidInput, match="no device 'tpu'"):
        raiw.train("digits-cnn", None, "digits", device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInput, match="has 0 GPUs"):
            raiw.train("digits-cnn", None, "digits", device="cuda:0")


def test_scores_and_pruning_want_images_and_classes_of_the_network(tmp_path):
    """A label that no output stands for must not get as far as the loss."""
    digits = open_dataset("digits", ".")
    many = replace(
        digits, classes=50, train=ArraySplit(digits.train.pixels, digits.train.labels + 9)
    )
    weights = tmp_path / "weights.safetensors"
    small, large = NamedNetwork(name="digits-cnn"), NamedNetwork(name="lenet-mnist")
    model, given = small.initialised(None, 0), {"samples": 50, "options": {}}
    save_file(model.state_dict(), weights)
    with pytest.raises(InvalidData, match="has 50 classes, 'digits-cnn' has outputs of shape"):
        score_network(model, "digits-cnn", many, "snip", seed=0, **given)
    with pytest.raises(InvalidData, match="has 50 classes"):
        prune_network(
            small,
            weights,
            many,
            PruneJob.parse(
                {"network": "digits-cnn", "weights": f"sha256:{64 * '0'}", "data": "digits"}
            ),
            Workspace(
                folder=tmp_path,
                data_dir=tmp_path,
                files={},
                phase="pruning",
                on_progress=lambda *_, **__: None,
                log=print,
            ),
        )
    model = large.initialised(None, 0)
    with pytest.raises(InvalidData, match="does not take the images"):
        score_network(model, "lenet-mnist", digits, "gradient", seed=0, **given)


def test_the_command_leaves_weights_and_report(tmp_path, capsys, masks):
    file = tmp_path / "masks.safetensors"
    masks.save(file)
    folder = tmp_path / "run"
    command = ["train", "digits-cnn", "--data", "digits", "--masks", str(file), "-o", str(folder)]
    settings = ["--set", "epochs=2", "--set", "augment=false", "--set", "batch=64"]
    assert run([*command, *settings, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["mask_violations"] == 0
    weights = load_file(folder / "weights.safetensors")
    assert int(torch.count_nonzero(weights["fc.weight"])) == masks["fc"].edges
    assert run([*command, "--set", "epochs=0"]) == 2
    assert "epochs" in capsys.readouterr().err
    assert run([*command, "--set", "epochs=3"]) == 2
    assert "another run" in capsys.readouterr().err
