"""Shares of single layers, and pruning in steps with training between them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from raiw.errors import InvalidInput
from raiw.pruning.prune import prune
from raiw.training.data.registry import open_dataset
from raiw.training.gradual import Gradual, prune_gradually
from raiw.training.recipe import Recipe

DATA = open_dataset("digits", ".")
RECIPE = Recipe.parse({"epochs": 1, "augment": False, "batch": 200})
EXAMPLE = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


class Added(nn.Module):
    """Two convolutions of 7 filters that are added, between others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 7, 3, padding=1)
        self.inner = nn.Conv2d(7, 5, 3, padding=1)
        self.back = nn.Conv2d(5, 7, 3, padding=1)
        self.last = nn.Conv2d(7, 13, 3, stride=2)
        self.out = nn.Linear(13 * 9, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.back(torch.relu(self.inner(x))))
        return self.out(torch.relu(self.last(x)).flatten(1))


def network() -> nn.Module:
    torch.manual_seed(4)
    return Added()


def left(kept: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: int(bits.sum()) for name, bits in kept.items()}


def by_steps(steps: int, folder: Path | None = None, **options: object) -> Gradual:
    given = {"channel_sparsity": 0.5, "keep": {"last": 0.3}} | options
    return prune_gradually(
        network(), EXAMPLE, "l1_filter", DATA, steps=steps, recipe=RECIPE, folder=folder, **given
    )


def test_layers_keep_their_shares_and_the_rest_the_common_one() -> None:
    keep = {"*": 0.9, "last": 0.3, "inner": 1.0}
    one = prune(network(), EXAMPLE, "l1_filter", channel_sparsity=0.5, keep=keep)
    assert left(one.channels.kept) == {"stem": 6, "back": 6, "inner": 5, "last": 4}
    assert one.channels.options["keep"] == keep
    two = prune(network(), EXAMPLE, "l1_filter", channel_sparsity=0.4, keep={"l*": 1e-9})
    assert left(two.channels.kept) == {"stem": 4, "back": 4, "inner": 3, "last": 1}


@pytest.mark.parametrize(
    ("method", "keep", "words"),
    [
        ("l1_filter", {"stem": 0.5, "back": 0.4}, "give them one share"),
        ("l1_filter", {"out": 0.5}, "'out' cannot lose filters"),
        ("l1_filter", {"lsat": 0.5}, "fits no layer.*did you mean 'last'"),
        ("l1_filter", {"last": 0.0}, "above 0 and at most 1"),
        ("l1_filter", {"last": 1.1}, "above 0 and at most 1"),
        ("slimming", {"last": 0.5}, "leave keep out, or use l1_filter"),
    ],
)
def test_shares_that_cannot_be_met_are_refused(
    method: str, keep: dict[str, float], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        prune(network(), EXAMPLE, method, channel_sparsity=0.5, keep=keep)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_any_number_of_steps_leaves_as_many_filters_as_one(steps: int) -> None:
    found = by_steps(steps)
    once = prune(network(), EXAMPLE, "l1_filter", channel_sparsity=0.5, keep={"last": 0.3})
    assert left(found.channels.kept) == left(once.channels.kept)
    assert len(found.steps) == steps
    weights = [step.weights for step in found.steps]
    assert weights == sorted(weights, reverse=True)
    assert found.steps[-1].filters == left(found.channels.kept)
    for name, count in found.steps[-1].filters.items():
        assert found.smaller.get_submodule(name).weight.shape[0] == count
    assert found.channels.options == {"channel_sparsity": 0.5, "keep": {"last": 0.3}}


def test_the_same_input_gives_the_same_network_also_after_an_interruption(tmp_path: Path) -> None:
    first = by_steps(2)
    whole = by_steps(2, tmp_path)
    (tmp_path / "step-2" / "checkpoint.safetensors").unlink()  # as if killed in the second step
    again = by_steps(2, tmp_path)
    for other in (whole, again):
        assert other.steps == first.steps
        for name, value in first.smaller.state_dict().items():
            assert torch.equal(value, other.smaller.state_dict()[name])


def test_training_is_told_and_the_network_given_stays_as_it_is() -> None:
    told = []
    before = network().state_dict()
    model = network()
    prune_gradually(
        model,
        EXAMPLE,
        "l1_filter",
        DATA,
        steps=2,
        recipe=RECIPE,
        on_epoch=lambda step, epoch: told.append((step, epoch.epoch)),
        channel_sparsity=0.3,
    )
    assert told == [(1, 1), (2, 1)]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
