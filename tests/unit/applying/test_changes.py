"""Masks that change while a model is trained, and masks given as plain tensors."""

import copy
import gc

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import raiw
from raiw.errors import InvalidInput, NotFound

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(24, 8), nn.Linear(8, 3))


def craft(seed: int, degree: int = 2, **rules: object) -> raiw.MaskSet:
    spec = raiw.Spec.from_model(make_model(), algorithm="regular", degree=degree, seed=seed)
    document = spec.canonical()
    document["craft"] |= {"rules": [*document["craft"].get("rules", ()), *rules.get("rules", ())]}
    return raiw.craft(document)


DENSE_HEAD = [{"match": "3", "dense": True}]
OLD, NEW = craft(0, rules=DENSE_HEAD), craft(1, rules=DENSE_HEAD)


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(16, 2, 4, 4)).square().mean().backward()
    optimizer.step()


def state_of(optimizer: torch.optim.Optimizer, weight: torch.Tensor) -> list[torch.Tensor]:
    return [
        value
        for value in optimizer.state[weight].values()
        if isinstance(value, torch.Tensor) and value.shape == weight.shape
    ]


def kept(masks: raiw.MaskSet, layer: str, weight: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(masks[layer].for_weight()).expand_as(weight)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_what_is_pruned_or_grown_starts_from_nothing(make):
    """Weights kept all along go on to the bit; all others are zero, in the optimiser as well."""
    model = make_model()
    optimizer = make(model.parameters())
    for _ in range(2):
        step(model, optimizer)  # momentum from before the masks, in every weight
    handle = raiw.apply(model, OLD)
    step(model, optimizer)
    before = (
        copy.deepcopy(model),
        [
            [value.clone() for value in state_of(optimizer, model[int(name)].weight)]
            for name in "02"
        ],
    )
    handle.update(NEW, optimizer)
    handle.check()
    assert handle.masks is NEW
    for name, states in zip("02", before[1], strict=True):
        weight = model[int(name)].weight
        both = kept(OLD, name, weight) & kept(NEW, name, weight)
        grown = kept(NEW, name, weight) & ~both
        assert grown.any()
        assert torch.equal(weight[both], before[0][int(name)].weight[both])
        assert not weight[~both].any()
        assert states
        for value, old in zip(state_of(optimizer, weight), states, strict=True):
            assert old[~both].any()
            assert torch.equal(value[both], old[both])
            assert not value[~both].any()
        assert not weight.grad[~kept(NEW, name, weight)].any()
    step(model, optimizer)
    handle.check()
    assert model[2].weight[kept(NEW, "2", model[2].weight)].count_nonzero() == NEW["2"].weights


def test_a_dense_layer_may_get_a_mask_and_lose_it():
    model = make_model()
    handle = raiw.apply(model, OLD)
    assert handle.layers == ("0", "2")
    all_three = craft(3)
    handle.update(all_three)
    assert handle.layers == ("0", "2", "3")
    assert model[3].weight.count_nonzero() == all_three["3"].weights
    handle.update(NEW)
    assert handle.layers == raiw.applied(model).layers == ("0", "2")
    step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model[3].weight.count_nonzero() == 24


def test_an_update_that_does_not_fit_changes_nothing():
    model, other = make_model(), make_model()
    handle = raiw.apply(model, OLD)
    before = copy.deepcopy(model.state_dict())
    part = {"2.weight": torch.ones(8, 24, dtype=torch.bool)}
    foreign = torch.optim.SGD(other.parameters(), lr=0.1)
    for masks, optimizers, message in (
        (part, (), "no mask for 0: give one for every layer"),
        ({"0": torch.ones(6, 2), **part}, (), "the mask is float32: give booleans"),
        (NEW, (foreign,), "this SGD trains none of the layers"),
    ):
        with pytest.raises(InvalidInput, match=message):
            handle.update(masks, *optimizers)
    with pytest.raises(NotFound):
        handle.update("nowhere.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert handle.masks is OLD
    pruned = raiw.apply(other, OLD, mode="torch-prune")
    with pytest.raises(InvalidInput, match="'torch-prune' cannot be changed"):
        pruned.update(NEW)


def test_the_handle_knows_the_set_it_holds():
    model = make_model()
    assert raiw.apply(model, OLD).masks is OLD
    assert raiw.applied(model).masks is OLD
    assert raiw.applied(copy.deepcopy(model)).masks is None
    handle = raiw.apply(model, {"3": torch.eye(3, 8).bool()})
    assert raiw.applied(model).masks is None
    everything = craft(3)
    handle.update(everything)
    assert raiw.applied(model).masks is everything
    assert raiw.applied(model).layers == ("0", "2", "3")


@pytest.mark.parametrize("form", ["weight", "sides", "taps of one", "numpy"])
def test_plain_tensors_are_masks(form):
    model = make_model()
    rng = torch.Generator().manual_seed(1)
    conv = torch.rand((6, 2, 3, 3) if form == "weight" else (6, 2), generator=rng) < 0.5
    fc = torch.rand(8, 24, generator=rng) < 0.3
    bias = torch.tensor([True, False, True])
    given = conv.reshape(6, 2, 1, 1) if form == "taps of one" else conv
    masks = {"0": given, "2.weight": fc, "3.bias": bias}
    if form == "numpy":
        masks = {name: np.asarray(mask) for name, mask in masks.items()}
    handle = raiw.apply(model, masks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        step(model, optimizer)
    handle.check()
    wanted = conv if form == "weight" else conv.reshape(6, 2, 1, 1).expand(6, 2, 3, 3)
    assert torch.equal(model[0].weight != 0, wanted)
    assert torch.equal(model[2].weight != 0, fc)
    assert torch.equal(model[3].bias != 0, bias)


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("0", torch.ones(6, 2), "layer '0': the mask is float32: give booleans"),
        ("0", torch.ones(2, 6).bool(), r"\(2, 6\), parameter '0.weight' is \(6, 2, 3, 3\): give a"),
        ("2", torch.ones(8).bool(), r"\(8,\).* is \(8, 24\): give a mask of \(8, 24\)$"),
        ("22", torch.ones(8, 24).bool(), r"no weight for the masks of '22'"),
    ],
)
def test_plain_tensors_that_do_not_fit(name, mask, message):
    with pytest.raises(InvalidInput, match=message):
        raiw.apply(make_model(), {name: mask})


def test_an_average_from_before_the_masks_is_told():
    gc.collect()
    model = make_model()
    average = AveragedModel(model)
    with pytest.warns(UserWarning, match=r"AveragedModel of this Sequential was made before"):
        raiw.apply(model, OLD)
    handle = raiw.apply(average, OLD)
    step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    average.update_parameters(model)
    handle.check()


def test_an_average_from_after_the_masks_is_fine():
    gc.collect()
    model = make_model()
    handle = raiw.apply(model, {"2": torch.eye(8, 24).bool()})
    average = AveragedModel(model)
    raiw.apply(model, {"3": torch.eye(3, 8).bool()})
    handle.remove()
    assert raiw.applied(average).layers == ("2",)


def attention() -> nn.MultiheadAttention:
    torch.manual_seed(0)
    return nn.MultiheadAttention(8, 2)


def test_torch_prune_refuses_weights_that_are_used_without_a_call():
    """It failed at the second step, with "backward through the graph a second time"."""
    model = attention()
    masks = raiw.craft(raiw.Spec.from_model(model, degree=2))
    with pytest.raises(InvalidInput, match=r"layer 'out_proj': torch\.nn\.utils\.prune computes"):
        raiw.apply(model, masks, mode="torch-prune")
    assert model.in_proj_weight.count_nonzero() == 8 * 24, "all or nothing"
    parts = ("in_proj_weight.q", "in_proj_weight.k", "in_proj_weight.v")
    projections = {part: torch.from_numpy(masks[part].numpy()) for part in parts}
    handle = raiw.apply(model, projections, mode="torch-prune")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        x = torch.randn(5, 2, 8)
        model(x, x, x)[0].square().sum().backward()
        optimizer.step()
    handle.check()
