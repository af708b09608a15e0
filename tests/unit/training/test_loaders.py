"""Training by a DataLoader: batches as they come, the same numbers for the same seed."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import raiw
from raiw.errors import InvalidData, InvalidInput
from raiw.training.data.batches import batches
from raiw.training.data.registry import open_dataset
from raiw.training.initial import initialised

RECIPE = {"epochs": 2, "batch": 7, "augment": True}


@pytest.fixture(scope="module")
def digits():
    data = open_dataset("digits", ".")
    splits = []
    for split in (data.train, data.test):
        images = split.images(np.arange(len(split.labels))).astype(np.float32) / 16
        images = torch.from_numpy((images - 0.3) / 0.37)
        splits.append(TensorDataset(images, torch.from_numpy(split.labels)))
    return splits


@pytest.fixture(scope="module")
def masks():
    return raiw.craft("raiw/digits-cnn-10")


def train(data, masks=None, **options):
    network = initialised("digits-cnn", masks, 0)
    return raiw.train(network, masks, data, recipe=RECIPE, device="cpu", **options)


def test_masks_are_held_and_the_test_batches_tested(digits, masks):
    learning, testing = (DataLoader(split, 32, shuffle=True) for split in digits)
    trained = train(learning, masks, test=testing)
    report = trained.report
    assert report.mask_violations == 0
    assert report.weights == masks.weights
    assert report.recipe["batch"] == 32
    assert report.dataset == "TensorDataset"
    model, (images, labels) = trained.model, digits[1].tensors
    with torch.no_grad():
        right = (model(images).argmax(1) == labels).double().mean()
    assert report.accuracy == pytest.approx(float(right))
    assert report.accuracy > 0.5
    again = train(learning, masks, test=testing)
    assert again.report.history == report.history
    assert train(learning, masks, test=testing, seed=1).report.history != report.history


def test_without_test_batches_the_report_says_what_is_tested(digits):
    report = train(DataLoader(digits[0], 64)).report
    assert report.dataset == "TensorDataset, tested on its training batches"


def test_batches_are_tuples_lists_or_mappings(digits):
    images, labels = (tensor[:96] for tensor in digits[0].tensors)
    parts = [(images[i : i + 32], labels[i : i + 32]) for i in (0, 32, 64)]
    longer = [(one, two, torch.ones(len(two))) for one, two in parts]
    named = [{"pixel_values": one, "labels": two} for one, two in parts]
    targets = [{"x": one, "target": two} for one, two in parts]
    reports = [train(data).report for data in (parts, longer, named, targets)]
    assert len({report.history for report in reports}) == 1
    rest = DataLoader(TensorDataset(images, labels), 36, drop_last=True)
    assert train(rest).report.history


def test_each_batch_counts_as_one_step_whatever_its_size(digits):
    """A step takes the mean over its own samples."""
    images, labels = (tensor[:48] for tensor in digits[0].tensors)
    uneven = [(images[:32], labels[:32]), (images[32:], labels[32:])] * 2
    network, other = (initialised("digits-cnn", None, 0) for _ in range(2))
    raiw.train(network, None, uneven, recipe=RECIPE | {"epochs": 1}, device="cpu")
    optimizer = torch.optim.SGD(
        other.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    for inputs, targets in uneven:
        optimizer.zero_grad()
        nn.functional.cross_entropy(other(inputs), targets).backward()
        optimizer.step()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([], InvalidData, "at least one batch"),
        ((batch for batch in ()), InvalidData, "no generator"),
        ([torch.ones(2, 1, 8, 8)], InvalidInput, "a batch is a Tensor"),
        ([(torch.ones(2, 3, 8, 8), torch.zeros(2).long())], InvalidData, r"\(2, 3, 8, 8\)"),
        ([(torch.ones(2, 1, 8, 8), torch.tensor([0, 10]))], InvalidData, "labels from 0 to 10"),
    ],
)
def test_what_cannot_be_trained_by_is_told(data, error, words):
    with pytest.raises(error, match=words):
        train(data)


def test_several_processes_do_not_share_batches_of_ones_own(digits):
    from raiw.training.data.loaders import loaded

    data = loaded(DataLoader(digits[0], 32), None, nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    with pytest.raises(InvalidInput, match="shared by 2 processes"):
        next(batches(data, 32, seed=0, epoch=0, augment=False, part=(0, 2)))
