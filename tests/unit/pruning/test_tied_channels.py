"""Entropic sparsification of channels that residual connections and concatenations tie."""

import numpy as np
import pytest
import torch
from torch import nn

from raiw.nets.resnet import cifar100
from raiw.pruning.prune import prune


def varied(model: nn.Module) -> nn.Module:
    """Return a model whose batch norms are not trivial."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.3, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 2)
    return model.double().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()


def test_the_stages_of_a_resnet_lose_channels(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = varied(cifar100(8))
    pruned = prune(model, images, "entropic", channel_sparsity=0.5, positions=4)
    assert pruned.kept_dense.keys() == {"fc"}
    kept = pruned.channels.kept
    for stage, width in enumerate((16, 32, 64), 1):
        makers = [
            f"layer{stage}.0.conv2",
            "conv1" if stage == 1 else f"layer{stage}.0.downsample.0",
        ]
        branch, shortcut = (kept[name] for name in makers)
        assert 0 < branch.sum() <= width // 2
        assert np.array_equal(branch, shortcut)
    torch.testing.assert_close(pruned.smaller(images), pruned.model(images))


def test_channels_that_are_left_say_so(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = varied(cifar100(8))
    with pytest.warns(UserWarning, match="6 layers keep all filters: conv1: .*tied='left'"):
        pruned = prune(model, images, "entropic", tied="left", positions=2)
    assert "layer1.0.conv2" not in pruned.channels.kept
    assert "tied to others" in pruned.kept_dense["layer1.0.conv2"]


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_has_nothing_tied(seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    )
    images = torch.randn(12, 3, 8, 8)
    jointly, left = (prune(model, images, "entropic", tied=tied) for tied in ("jointly", "left"))
    assert jointly.channels.kept.keys() == {"0", "2"}
    assert all(map(np.array_equal, jointly.channels.kept.values(), left.channels.kept.values()))
    assert all(map(torch.equal, jointly.model.parameters(), left.model.parameters()))


class Dense(nn.Module):
    """A layer whose outputs are put beside its inputs."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(width, growth, 3, padding=1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([inputs, self.layer(inputs).relu()], 1)


def test_readers_of_a_concatenation_keep_what_the_others_give() -> None:
    """Channels that are copies of others go, and the outputs stay what they were."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), Dense(4, 6), Dense(10, 6), nn.Conv2d(16, 5, 1)
    ).double()
    with torch.no_grad():
        for layer, half in ((model[0], 2), (model[2].layer, 3), (model[3].layer, 3)):
            layer.weight[half:] = layer.weight[:half]
            layer.bias[half:] = layer.bias[:half]
    images = torch.randn(64, 3, 10, 10).double()
    pruned = prune(model, images, "entropic", l2=1e-6, entropy=1e-4)
    kept = pruned.channels.kept
    assert [kept[name].sum() for name in ("0", "2.layer", "3.layer")] == [2, 3, 3]
    torch.testing.assert_close(pruned.smaller(images), model(images), rtol=1e-4, atol=1e-4)


class Beside(nn.Module):
    """Layers that read the same channels, beside each other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([layer(inputs) for layer in self.layers], 1)


@pytest.mark.parametrize("first", [0, 2])
def test_every_reader_keeps_the_channels_that_it_alone_needs(first: int) -> None:
    """Two read two channels each, and nobody the last two."""
    torch.manual_seed(0)
    readers = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 4, 1)
    with torch.no_grad():
        for reader, start in zip(readers, (first, 2 - first), strict=True):
            unread = [channel for channel in range(6) if channel not in (start, start + 1)]
            reader.weight[:, unread] = 0
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), Beside(*readers)).double()
    images = torch.randn(64, 3, 8, 8).double()
    pruned = prune(model, images, "entropic", l2=1e-4, entropy=1e-3)
    assert pruned.channels.kept["0"].tolist() == [True] * 4 + [False] * 2
    torch.testing.assert_close(pruned.smaller(images), model(images), rtol=1e-4, atol=1e-4)


class Residual(nn.Module):
    """A layer whose outputs are added to its inputs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.outer(self.inner(inputs).relu())


def test_the_last_reader_is_fitted_to_what_it_reads_in_the_end() -> None:
    """No least squares on its inputs in the pruned network would come nearer to the original."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), Residual(12), Residual(12), nn.Linear(12, 5)).double()
    inputs = torch.randn(200, 6).double()
    pruned = prune(
        model, inputs, "entropic", channel_sparsity=0.5, positions=1, ignored_layers=["*.inner"]
    )
    kept = pruned.channels.kept["0"]
    assert kept.sum() <= 6
    with torch.no_grad():
        missing = model(inputs) - pruned.model(inputs)
        read = pruned.model[:3](inputs)[:, torch.from_numpy(kept)]
    assert missing.norm() > 0.01
    across = (missing - missing.mean(0)).T @ (read - read.mean(0))
    assert across.abs().max() < 1e-6 * missing.norm() * read.norm()
