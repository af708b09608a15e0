"""Masks that change during a training: schedules, the degree contract, resume, jobs, bad input."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.cli.app import run
from raiw.errors import InvalidInput, InvalidSpec
from raiw.jobs.registry import KINDS
from raiw.jobs.train import TrainJob
from raiw.jobs.workspace import Workspace
from raiw.nets.registry import build
from raiw.study.accuracy.trials import plan_training
from raiw.training.dynamics import SCORED, Dynamics
from raiw.training.mask_updates import MaskUpdates
from raiw.training.processes import Processes
from raiw.training.recipe import Recipe
from raiw.training.train import train
from tests.unit.training.short_runs import QUICK, RULES, SPEC, Interrupted, interrupt_after

ALONE = Processes(0, 1, torch.device("cpu"))
DIGEST = "sha256:" + "0" * 64


def test_recipes_without_dynamics_have_the_keys_they_always_had():
    """Results of years must not be trained anew because a recipe has learned a field."""
    digests = [
        digest_of_json(Recipe().keyed()),
        TrainJob(network="digits-cnn", data="digits").content_key(),
        TrainJob(
            network="digits-cnn", data="digits", masks=DIGEST, recipe=Recipe(epochs=2)
        ).content_key(),
    ]
    assert digests == [
        "sha256:040b126551bb023935fc39975e0e5355e80097b3faf02e634bfa1b39f722d88f",
        "sha256:fc4b738fee38e93e68fd397752221f29836d566895d8834bcb009b289663d85e",
        "sha256:0f9e7842f3c7996743f09bdb88d59b91474d6ec421d37280c0435c32d006ab73",
    ]


@given(
    begin=st.floats(0, 1), length=st.floats(0, 1), every=st.integers(1, 50),
    steps=st.integers(1, 300),
)  # fmt: skip
def test_gradual_pruning_follows_the_cubic_and_ends_at_its_target(begin, length, every, steps):
    dynamics = Dynamics(method="gradual", begin=begin, end=min(begin + length, 1), every=every)
    due = [step for step in range(steps) if dynamics.is_due(step, steps)]
    left = [dynamics.left(step, steps) for step in due]
    assert left[-1] == 0
    assert left == sorted(left, reverse=True)
    first, last = dynamics.bounds(steps)
    for step, share in zip(due, left, strict=True):
        assert step == last or (step - first) % every == 0
        assert share == pytest.approx(
            (1 - (step - first) / max(last - first, 1)) ** 3 * (step < last)
        )


def test_rigl_anneals_its_fraction_by_the_cosine():
    dynamics = Dynamics(method="rigl", end=0.75, fraction=0.3)
    for step in (0, 100, 375, 749):
        assert dynamics.moved(step, 1000) == pytest.approx(
            0.15 * (1 + math.cos(step * math.pi / 750))
        )


class Net(nn.Module):
    """Plain, grouped and transposed layers of any widths."""

    def __init__(self, unit: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(unit, 4 * unit, 3, padding=1)
        self.grouped = nn.Conv2d(4 * unit, 2 * unit, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(2 * unit, 4 * unit, 3, padding=1)
        self.fc = nn.Linear(4 * unit, 4 * unit)

    def forward(self, x):
        x = torch.tanh(self.up(torch.tanh(self.grouped(torch.tanh(self.conv(x))))))
        return self.fc(x.mean((2, 3)))


def updates_of(algorithm, method, unit=4, seed=0, **craft):
    torch.manual_seed(seed)
    net = Net(unit)
    craft = {"density": 0.5} | craft
    spec = raiw.Spec.from_model(net, algorithm=algorithm, seed=seed, **craft)
    scored = ALGORITHMS[algorithm].scores == "needed"
    scores = {name: getattr(net, name).weight for name in ("conv", "grouped", "up", "fc")}
    masks = raiw.craft(spec, scores if scored else None)
    updates = MaskUpdates(net, masks, Dynamics(method=method, every=1), seed)
    return net, updates


def take(net, updates, step, steps):
    """Train one step, and change the masks."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    x = torch.randn(8, net.conv.in_channels, 4, 4)
    net(x).square().mean().backward()
    optimizer.step()
    loss = net(x).square().mean()
    gradients = {}

    def of(weights):
        found = torch.autograd.grad(loss, weights)
        gradients.update(zip(map(id, weights), found, strict=True))
        return list(found)

    spent = updates.take(step, steps, optimizer, ALONE, of)
    for name, mask in updates.masks.items():
        weight = getattr(net, name).weight
        momentum = optimizer.state[weight]["momentum_buffer"]
        assert not momentum[~torch.from_numpy(mask.for_weight()).expand_as(weight)].any()
    return spent, gradients


@pytest.mark.parametrize("method", ["gradual", "rigl", "set"])
def test_one_graph_over_all_layers_stays_one(method):
    torch.manual_seed(0)
    net = build("digits-cnn")
    masks = raiw.craft(
        {"model": "digits-cnn", "craft": {"algorithm": "network", "density": 0.3}},
        {name: weight for name, weight in net.state_dict().items() if name.endswith("weight")},
    )
    dynamics = {"method": method, "every": 5}
    recipe = {"epochs": 1, "batch": 128, "augment": False, "dynamics": dynamics}
    trained = train(net, masks, recipe=recipe, device="cpu").masks
    assert trained.algorithm == "network"
    assert trained != masks
    assert trained.weights == masks.weights
    report = raiw.verify(trained)
    assert report.ok, report.faults


@pytest.mark.parametrize("method", ["gradual", "rigl", "set"])
@pytest.mark.parametrize(
    "algorithm", ["regular", "constant_fan_in", "nm", "transposable_nm", "magnitude", "random"]
)
def test_every_step_keeps_the_contract_of_the_masks(algorithm, method):
    net, updates = updates_of(algorithm, method)
    final = updates.masks if method != "gradual" else None
    before = updates.masks
    for step in (1, 3, 6, 7):
        take(net, updates, step, 10)
        report = raiw.verify(updates.masks)
        assert report.ok, report.faults
        assert ALGORITHMS[updates.masks.algorithm].contract is ALGORITHMS[algorithm].contract
        updates.handle.check()
        assert updates.masks.weights <= before.weights
        before = updates.masks
    if method == "gradual":
        assert updates.masks.density == pytest.approx(0.5)
    else:
        assert updates.masks.weights == final.weights
        assert updates.masks != final


@settings(deadline=None, max_examples=15)
@given(
    unit=st.integers(1, 5).map(lambda n: 2 * n), density=st.floats(0.1, 0.9), seed=st.integers(0, 9)
)
def test_regrowth_keeps_the_contract_and_all_that_stays(unit, density, seed):
    """Of every layer only the smallest go, so many at most as the fraction says."""
    net, updates = updates_of("regular", "rigl", unit, seed, density=density)
    before = updates.masks
    take(net, updates, 0, 10)  # no change is due before the first step
    assert updates.masks is before
    spent, _ = take(net, updates, 2, 10)
    assert spent
    assert raiw.verify(updates.masks).ok
    for name, mask in updates.masks.items():
        old = before[name]
        share = 0.15 * (1 + math.cos(math.pi * 2 / 8))
        assert mask.edges == old.edges
        assert (old.numpy() & ~mask.numpy()).sum() <= int(share * old.edges)


def test_rigl_without_a_contract_is_that_of_its_paper():
    """Drop the smallest, grow the largest gradients: against both written out with argsort."""
    net, updates = updates_of("random", "rigl", 5)
    before = updates.masks
    magnitudes = {}
    update = updates.handle.update

    def noted(masks, *optimizers):
        magnitudes.update({name: getattr(net, name).weight.detach().clone() for name in before})
        update(masks, *optimizers)

    updates.handle.update = noted
    _, gradients = take(net, updates, 3, 10)
    share = 0.15 * (1 + math.cos(math.pi * 3 / 8))
    for name, mask in updates.masks.items():
        weight = getattr(net, name).weight

        def edges(values, transposed=mask.layer.transposed):
            summed = values.abs().double().flatten(2).sum(2) if values.dim() > 2 else values.abs()
            return (summed.T if transposed else summed).numpy().ravel()

        kept = before[name].numpy().ravel()
        moved = int(share * kept.sum())
        size = np.where(kept, edges(magnitudes[name]), -1)
        stays = np.zeros_like(kept)
        stays[np.argsort(-size, kind="stable")[: kept.sum() - moved]] = True
        steep = np.where(stays, -1, edges(gradients[id(weight)]))
        grown = np.argsort(-steep, kind="stable")[:moved]
        wanted = stays.copy()
        wanted[grown] = True
        assert moved > 0
        assert np.array_equal(mask.numpy().ravel(), wanted)


@pytest.mark.parametrize("method", ["rigl", "gradual"])
def test_blocks_stay_whole(method):
    net, updates = updates_of("regular", method, 4, group_outputs=2, group_inputs=2)
    for step in (1, 2, 3):
        take(net, updates, step, 10)
        assert raiw.verify(updates.masks).ok
    for mask in updates.masks.values():
        assert (mask.numpy()[::2] == mask.numpy()[1::2]).all()
        assert (mask.numpy()[:, ::2] == mask.numpy()[:, 1::2]).all()


@pytest.mark.parametrize("method", ["gradual", "rigl", "set"])
def test_a_run_ends_with_the_edges_of_its_masks_under_their_contract(masks, method):
    recipe = QUICK | {"dynamics": {"method": method, "every": 10}}
    trained = raiw.train("digits-cnn", masks, "digits", recipe=recipe)
    report, held = trained.report, trained.masks
    assert report.mask_violations == 0
    assert report.weights == held.weights == masks.weights
    assert report.masks == held.digest != masks.digest
    weights = [epoch.weights for epoch in report.history]
    assert weights[-1] == masks.weights
    assert weights == sorted(weights, reverse=True)
    assert (weights[0] > masks.weights) is (method == "gradual")
    assert report.accuracy > 0.5
    assert raiw.verify(held).ok
    for name, mask in held.items():
        assert np.ptp(mask.in_degrees()) <= 1, name
        assert np.ptp(mask.out_degrees()) <= 1, name
        pruned = trained.model.get_parameter(f"{name}.weight")[
            ~torch.from_numpy(mask.for_weight()).expand_as(
                trained.model.get_parameter(f"{name}.weight")
            )
        ]
        assert not pruned.any()


@pytest.mark.parametrize("method", ["gradual", "rigl"])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, masks, method):
    """Whichever epoch it is interrupted after, once or again."""
    recipe = QUICK | {"dynamics": {"method": method, "every": 7}}
    whole = raiw.train("digits-cnn", masks, "digits", recipe=recipe, seed=1)
    options = {"recipe": recipe, "seed": 1, "folder": tmp_path}
    for epochs in (1, 2):
        with pytest.raises(Interrupted):
            raiw.train("digits-cnn", masks, "digits", **options, on_epoch=interrupt_after(epochs))
    rest = raiw.train("digits-cnn", masks, "digits", **options)
    assert rest.report == whole.report
    assert rest.masks.to_bytes() == whole.masks.to_bytes()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[name], value)


def test_the_seed_decides_what_is_grown_at_random(masks):
    recipe = QUICK | {"epochs": 1, "dynamics": {"method": "set", "every": 10}}
    digests = [
        raiw.train("digits-cnn", masks, "digits", recipe=recipe, seed=seed).masks.digest
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_the_command_leaves_the_masks_it_ended_with(tmp_path, capsys, masks):
    file, folder = tmp_path / "masks.safetensors", tmp_path / "run"
    masks.save(file)
    command = ["train", "digits-cnn", "--data", "digits", "--masks", str(file), "-o", str(folder)]
    settings_ = [
        "epochs=2",
        "batch=64",
        "augment=false",
        "dynamics.method=rigl",
        "dynamics.every=5",
    ]
    assert run([*command, *(word for one in settings_ for word in ("--set", one)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    left = raiw.load(folder / "masks.safetensors")
    assert report["masks"] == left.digest
    assert run(["verify", str(folder / "masks.safetensors")]) == 0
    weights = load_file(folder / "weights.safetensors")
    assert not weights["fc.weight"][~left["fc"].torch()].any()
    assert run([*command, "--set", "dynamics.method=rigle"]) == 2
    assert "dynamics/method" in capsys.readouterr().err


def test_a_job_keeps_the_masks_of_every_seed(tmp_path):
    job = TrainJob.parse(
        {
            "network": "digits-cnn",
            "spec": SPEC,
            "data": "digits",
            "recipe": QUICK | {"epochs": 1, "dynamics": {"method": "gradual", "every": 10}},
            "seeds": [3, 4],
        }
    )
    space = Workspace(
        folder=tmp_path, data_dir=tmp_path, files={}, phase="training",
        on_progress=lambda *_, **__: None, log=lambda _: None, device="cpu",
    )  # fmt: skip
    made = KINDS["train"].load()(job, space)
    assert [*made.files] == [
        "weights-seed-3", "masks-seed-3", "weights-seed-4", "masks-seed-4", "masks",
    ]  # fmt: skip
    for seed, run_ in zip((3, 4), made.report["runs"], strict=True):
        assert raiw.load(made.files[f"masks-seed-{seed}"]).digest == run_["masks"]
    masks = raiw.load(made.files["masks"])
    alone = raiw.train("digits-cnn", masks, recipe=job.recipe, seed=3, device="cpu").model
    for name, tensor in load_file(made.files["weights-seed-3"]).items():
        assert torch.equal(tensor, alone.state_dict()[name]), name


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"method": "gradual", "begin": 0.8, "end": 0.5}, "begin 0.8 is after end 0.5"),
        ({"method": "rigl", "algorithm": "regular"}, "'regular' crafts nothing from scores; raiw"),
        ({"method": "rigl", "fraction": 1.5}, "fraction"),
        ({"method": "rigl", "evry": 5}, "did you mean 'every'"),
    ],
)
def test_dynamics_that_cannot_be_are_told(document, message):
    with pytest.raises(InvalidSpec, match=message):
        Recipe.parse({"dynamics": document})


def test_what_leaves_nothing_to_change_is_told(masks):
    recipe = QUICK | {"dynamics": {"method": "rigl"}}
    for options, message in (
        ({"masks": None}, "there are none: give masks"),
        ({"masks": raiw.craft({"model": "digits-cnn", "craft": {"algorithm": "dense"}})},
         "keep every edge"),
        ({"recipe": QUICK | {"dynamics": {"method": "set", "every": 999}}},
         r"every is 999 steps, and only 101 of this run's 135"),
        ({"masks": raiw.craft({"model": "digits-cnn", "craft": {"algorithm": "expander",
          "density": 0.2, "rules": RULES}})}, "keeps the contract of 'expander' masks"),
    ):  # fmt: skip
        given_ = {"masks": masks, "recipe": recipe} | options
        with pytest.raises(InvalidInput, match=message):
            raiw.train("digits-cnn", data="digits", **given_)
    with pytest.raises(InvalidInput, match="give masks or a spec") as caught:
        TrainJob.parse({"network": "digits-cnn", "data": "digits", "recipe": recipe})
    assert caught.value.pointer == "/recipe/dynamics"


def test_a_named_algorithm_takes_the_place_of_the_contract(masks):
    recipe = QUICK | {"epochs": 1}
    recipe |= {"dynamics": {"method": "gradual", "every": 20, "algorithm": "magnitude"}}
    trained = raiw.train("digits-cnn", masks, "digits", recipe=recipe)
    assert trained.masks.algorithm == "magnitude"
    assert np.ptp(trained.masks["fc"].in_degrees()) > 1


def test_every_scored_algorithm_counts_in_the_key(monkeypatch):
    job = TrainJob.parse(
        {"network": "digits-cnn", "data": "digits", "masks": DIGEST,
         "recipe": {"dynamics": {"method": "rigl"}}}
    )  # fmt: skip
    before = job.content_key()
    for name, entry in SCORED.items():
        with monkeypatch.context() as patch:
            patch.setitem(SCORED, name, replace(entry, revision=99))
            assert job.content_key() != before


def test_a_study_trains_the_dense_network_without_dynamics():
    """So one dense run serves studies with and without them."""
    changing = {"dynamics": {"method": "rigl"}}
    plain, other = (
        plan_training("raiw/digits-cnn-10", methods=["regular"], seeds=1, recipe=recipe)
        for recipe in ({}, changing)
    )
    (dense, regular), (other_dense, other_regular) = plain.trials, other.trials
    assert dense.craft is None
    assert dense.key == other_dense.key
    assert regular.key != other_regular.key
    assert other.setting.recipe_of(dense.craft).dynamics is None
    assert other.setting.recipe_of(regular.craft).dynamics is not None
