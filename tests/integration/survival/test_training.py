"""Masks hold while a model is trained, whatever the optimiser and the number type."""

import copy

import pytest
import torch
from torch import nn

import raiw
from raiw.errors import GateFailed
from tests.integration.survival.network import (
    MASKS,
    Net,
    adamw,
    backward,
    batch,
    loose_gradients,
    revived,
    train,
)


def test_weights_are_zero_at_once_and_kept_ones_untouched(model):
    before = copy.deepcopy(model.state_dict())
    raiw.apply(model, MASKS).check()
    assert revived(model) == 0
    assert sum(int(getattr(model, name).weight.count_nonzero()) for name in MASKS) == MASKS.weights
    for name, mask in MASKS.items():
        kept = torch.from_numpy(mask.for_weight())
        assert torch.equal(getattr(model, name).weight, before[f"{name}.weight"] * kept)


OPTIMIZERS = {
    "sgd": lambda ps: torch.optim.SGD(ps, lr=0.1),
    "sgd momentum decay": lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.1),
    "nesterov foreach": lambda ps: torch.optim.SGD(
        ps, 0.1, momentum=0.9, nesterov=True, foreach=True
    ),
    "adam": lambda ps: torch.optim.Adam(ps, lr=0.05),
    "adamw": lambda ps: torch.optim.AdamW(ps, lr=0.05, weight_decay=0.1),
    "adamw foreach": lambda ps: torch.optim.AdamW(ps, lr=0.05, foreach=True),
    "adamw fused": lambda ps: torch.optim.AdamW(ps, lr=0.05, fused=True),
    "rmsprop": lambda ps: torch.optim.RMSprop(ps, lr=0.01, momentum=0.9),
    "adagrad": lambda ps: torch.optim.Adagrad(ps, lr=0.05),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_momentum_that_was_there_before_revives_nothing(model, name):
    """The optimiser has trained the dense weights: its averages pull the pruned ones."""
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer)
    handle = raiw.apply(model, MASKS)
    for _ in range(4):
        train(model, optimizer, 1)
        assert revived(model) == 0
    handle.check()


def test_without_the_hook_momentum_would_revive_weights(model):
    """What the test above guards against does happen."""
    optimizer = adamw(model)
    train(model, optimizer)
    raiw.apply(model, MASKS).remove()
    assert revived(model) == 0
    train(model, optimizer, 1)
    assert revived(model) > 0.9 * (MASKS.dense_weights - MASKS.weights)


def test_lbfgs(model):
    handle = raiw.apply(model, MASKS)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x, y = batch()

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert optimizer.step(closure) < first
    handle.check()
    assert revived(model) == 0


def test_an_optimizer_made_later_with_parameter_groups(masked):
    groups = [
        {"params": [masked.conv.weight], "lr": 0.5},
        {"params": [p for name, p in masked.named_parameters() if name != "conv.weight"]},
    ]
    train(masked, torch.optim.AdamW(groups, lr=0.05))
    assert revived(masked) == 0


def test_gradients_of_pruned_weights_are_zero_while_they_accumulate(masked):
    for _ in range(3):
        backward(masked)
        assert loose_gradients(masked) == 0


def test_clipping_sees_the_gradients_of_kept_weights_only(masked):
    backward(masked)
    kept = [p.grad.clone() for p in masked.parameters()]
    expected = torch.stack([gradient.square().sum() for gradient in kept]).sum().sqrt()
    assert loose_gradients(masked) == 0
    torch.testing.assert_close(nn.utils.clip_grad_norm_(masked.parameters(), 0.1), expected)
    assert loose_gradients(masked) == 0


def test_autocast(masked):
    optimizer = adamw(masked)
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            backward(masked)
        optimizer.step()
        assert loose_gradients(masked) == 0
    assert revived(masked) == 0


def test_grad_scaler(masked):
    optimizer, scaler = adamw(masked), torch.amp.GradScaler("cpu", init_scale=8.0)
    for _ in range(3):
        optimizer.zero_grad()
        x, y = batch()
        scaler.scale(nn.functional.cross_entropy(masked(x), y)).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(masked.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
    assert revived(masked) == 0
    assert loose_gradients(masked) == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_type(masked, dtype):
    masked.to(dtype)
    assert revived(masked) == 0
    train(masked, adamw(masked), dtype=dtype)
    assert revived(masked) == 0
    assert loose_gradients(masked) == 0


def test_another_memory_format_and_device(masked):
    masked.to(memory_format=torch.channels_last)
    train(masked, adamw(masked))
    assert revived(masked) == 0
    raiw.applied(masked.to("meta")).enforce()
    masked.to_empty(device="cpu").load_state_dict(Net().state_dict())
    assert revived(masked) == 0


def test_nan_and_infinity_are_zeroed_too(masked):
    handle = raiw.applied(masked)
    with torch.no_grad():
        masked.fc.weight.fill_(float("nan"))
        masked.conv.weight.fill_(float("inf"))
    with pytest.raises(GateFailed, match=r"layer 'conv': 360 of 360 pruned .* some of fc"):
        handle.check()
    handle.enforce()
    handle.check()
    assert masked.fc.weight.isnan().sum() == MASKS["fc"].weights
