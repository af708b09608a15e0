"""Masks hold through state dicts, saved models, copies and moving averages."""

import copy
import io

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import raiw
from tests.integration.survival.network import (
    MASKS,
    Net,
    adamw,
    backward,
    loose_gradients,
    revived,
    train,
)


def test_a_masked_state_dict_is_that_of_a_plain_model(model):
    plain = Net()
    keys, size = list(model.state_dict()), size_of(model.state_dict())
    raiw.apply(model, MASKS)
    train(model, adamw(model))
    assert list(model.state_dict()) == keys
    assert size_of(model.state_dict()) == size
    plain.load_state_dict(model.state_dict(), strict=True)
    assert revived(plain) == 0


def size_of(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.tell()


@pytest.mark.parametrize("assign", [False, True])
def test_a_dense_checkpoint_is_masked_as_it_is_loaded(masked, assign):
    dense = Net().state_dict()
    masked.load_state_dict(dense, strict=True, assign=assign)
    assert revived(masked) == 0
    assert torch.equal(masked.head.weight, dense["head.weight"])
    optimizer = adamw(masked)
    backward(masked)
    assert loose_gradients(masked) == 0
    train(masked, optimizer)
    assert revived(masked) == 0


def test_an_optimizer_resumes_from_its_state_dict(masked):
    optimizer = adamw(masked)
    train(masked, optimizer)
    again = Net()
    again.load_state_dict(masked.state_dict())
    resumed = adamw(again)
    raiw.apply(again, MASKS)
    resumed.load_state_dict(optimizer.state_dict())
    train(again, resumed)
    assert revived(again) == 0


def test_a_deep_copy_holds_masks_of_its_own(masked):
    train(masked, adamw(masked), 1)
    twin = copy.deepcopy(masked)
    raiw.applied(masked).remove()
    backward(twin)
    assert loose_gradients(twin) == 0
    train(twin, adamw(twin))
    assert revived(twin) == 0
    raiw.applied(twin).check()
    train(masked, adamw(masked), 1)
    assert revived(masked) > 0, "removing the original's masks must not depend on the copy"


def test_a_moving_average_stays_sparse(masked):
    average = AveragedModel(masked, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = adamw(masked)
    for _ in range(3):
        train(masked, optimizer, 1)
        average.update_parameters(masked)
    assert revived(average.module) == 0
    raiw.applied(average).check()
    assert not torch.equal(average.module.fc.weight, masked.fc.weight)


def test_a_saved_model_holds_masks_again(masked):
    dense = size_of(Net())
    assert size_of(masked) < 1.4 * dense, "packed bits, not a second copy of the weights"
    buffer = io.BytesIO()
    torch.save(masked, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    backward(loaded)
    assert loose_gradients(loaded) == 0
    train(loaded, adamw(loaded))
    assert revived(loaded) == 0
    assert set(raiw.applied(loaded).layers) == set(MASKS)
