"""A model made sparse in one call: the same as step by step, and an honest report."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import raiw
from raiw.errors import DeadUnitsFound, InvalidInput, InvalidSpec
from raiw.nets.registry import build


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 32, 3), nn.Flatten(), nn.Linear(32 * 2 * 2, 24), nn.ReLU(), nn.Linear(24, 10),
    )  # fmt: skip


BATCHES = [torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))]


@pytest.mark.parametrize(
    ("data", "method", "scored"),
    [(None, None, "magnitude"), (BATCHES, None, "gradient"), (BATCHES, "synflow", "synflow")],
)
def test_it_is_what_the_steps_make(data: Any, method: str | None, scored: str) -> None:
    model, by_steps = network(), network()
    handle = raiw.sparsify(model, data, method, density=0.5, keep_first=1)
    spec = raiw.Spec.from_model(by_steps, density=0.5, keep_first=1)
    masks = raiw.craft(spec, raiw.score(by_steps, data, scored))
    raiw.apply(by_steps, masks)
    assert handle.masks == masks
    assert handle.masks.origin.scored_by["method"] == scored
    for name, value in model.state_dict().items():
        assert torch.equal(value, by_steps.state_dict()[name]), name
    optimizer = torch.optim.AdamW(model.parameters())
    model(BATCHES[0]).sum().backward()
    optimizer.step()
    handle.check()
    left = sum(int(p.count_nonzero()) for p in model.parameters() if p.dim() > 1)
    assert left == masks.weights


def test_the_report_accounts_for_every_weight_by_independent_count() -> None:
    model = network()
    report = raiw.sparsify(
        model, BATCHES, density=0.5, keep_first=1, keep_last=1, exclude="6"
    ).report
    weights = {n: p for n, p in model.named_parameters() if p.dim() > 1}
    assert report.weights == sum(p.numel() for p in weights.values())
    zeros = sum(int((p == 0).sum()) for p in weights.values())
    assert report.kept == report.covered - zeros
    assert report.density == pytest.approx(1 - zeros / report.weights)
    reasons = {each.name: each.reason for each in report.left_out}
    assert list(reasons) == ["6.weight", "0.weight", "8.weight", "3.weight"]  # largest first
    assert reasons["6.weight"] == "excluded"
    assert (reasons["0.weight"], reasons["8.weight"]) == ("keep_first=1", "keep_last=1")
    assert "one input a group" in reasons["3.weight"]
    assert report.covered == report.weights - sum(each.weights for each in report.left_out)
    assert f"{report.share:.1%}" in str(report)
    assert report.to_json()["left_out"][0]["weights"] == 32 * 4 * 24


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(16, 16))
        self.free = nn.Parameter(torch.ones(16, 16))
        self.head = nn.Linear(16, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.normed(self.embedding(tokens)) @ self.free)


def test_what_no_mask_is_made_for_is_named_with_its_size() -> None:
    report = raiw.sparsify(Odd(), density=0.5).report
    left = {each.name: (each.weights, each.reason) for each in report.left_out}
    assert left["embedding.weight"] == (800, "an embedding")
    assert left["free"] == (256, "a parameter of Odd")
    assert left["normed.parametrizations.weight.original0"][0] == 16
    assert report.covered == 128 + 256
    assert report.weights == 800 + 256 + 256 + 16 + 128


def test_algorithms_without_scores_take_no_method() -> None:
    handle = raiw.sparsify(network(), density=0.5, algorithm="regular", seed=3)
    assert (handle.masks.importance, handle.masks.seed) == (None, 3)
    with pytest.raises(InvalidInput, match="'regular' ignores scores"):
        raiw.sparsify(network(), BATCHES, "snip", density=0.5, algorithm="regular")


def test_dead_units_are_told_and_refused() -> None:
    model = build("resnet18-cifar10")
    with pytest.warns(UserWarning, match="45 of 64 outputs without an input edge"):
        report = raiw.sparsify(model, density=0.1).report
    assert [units.outputs for units in report.dead_units] == [45]
    model = build("resnet18-cifar10")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(DeadUnitsFound):
        raiw.sparsify(model, density=0.1, strict=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    report = raiw.sparsify(model, density=0.1, strict=True, min_fan_in=1).report
    assert not report.dead_units


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidSpec, "no target"),
        ({"density": 0.5, "exclude": ["fc*"]}, InvalidSpec, "'fc\\*' matches no layer"),
        ({"density": 1.5}, InvalidSpec, "/craft/density"),
        ({"density": 0.5, "desity": 0.5}, InvalidSpec, "'density'"),
        ({"density": 0.5, "method": "magnitud"}, InvalidInput, "did you mean 'magnitude'"),
        ({"density": 0.5, "data": "digits"}, InvalidInput, "is given as data"),
    ],
)
def test_what_is_wrong_is_said_and_the_model_is_left_alone(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(error, match=words):
        raiw.sparsify(model, **options)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name].numpy()), name


def test_parts_of_a_parameter_count_one_by_one() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(12, 16)
            self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16))

    model = Gated()
    with pytest.warns(UserWarning, match="spectral"):
        report = raiw.sparsify(model, density=0.5, exclude="*_ih_l0.f").report
    assert report.weights == 4 * 16 * (12 + 16) + 256
    assert report.covered == 4 * 16 * 28 - 16 * 12
    left = {each.name: each.reason for each in report.left_out}
    assert left["lstm.weight_ih_l0.f"] == "excluded"
    assert "SpectralNorm" in left.pop("spectral.parametrizations.weight.original")
    assert len(left) == 1
    zeros = sum(int((p == 0).sum()) for n, p in model.named_parameters() if p.dim() > 1)
    assert report.covered - report.kept == zeros
