"""Pruning networks whose layers are tied in ways that a trace does not show."""

from typing import Any

import pytest
import torch
from torch import nn

from raiw.errors import CannotPrune, InvalidInput
from raiw.pruning.prune import prune
from tests.unit.pruning.halves import difference_of_values, halved


class Ghost(nn.Module):
    """Half of the channels are made of the other half, and added to those before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.primary = nn.Conv2d(width, width // 2, 1)
        self.cheap = nn.Conv2d(width // 2, width // 2, 3, padding=1, groups=width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = self.primary(x).relu()
        return x + torch.cat([own, self.cheap(own)], 1)


class Shuffle(nn.Module):
    """Half of the channels pass a layer, then all change places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(width // 2, width // 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, passed = x.chunk(2, 1)
        joined = torch.cat([kept, self.inner(passed).relu()], 1)
        return joined.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


def convolutions(*inner: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), *inner, nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 36, 4),
    )  # fmt: skip


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def test_layers_are_left_out_by_name(images: torch.Tensor) -> None:
    model = convolutions(nn.ReLU(), nn.Conv2d(8, 8, 1))
    left = halved(model, images, ignored_layers=["2"])
    assert left.channels.kept.keys() == {"0", "3"}
    assert "ignored_layers" in left.kept_dense["2"]
    with pytest.raises(CannotPrune, match="no layer"):
        halved(model, images, ignored_layers="*")
    with pytest.raises(InvalidInput, match="no layer 'conv'"):
        halved(model, images, ignored_layers=["conv"])


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(8, 1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def test_parameters_of_no_layer_lose_channels_too(images: torch.Tensor) -> None:
    """Torch-Pruning takes the last axis; the caller knows that it is the first."""
    model = convolutions(Scaled())
    assert "0" in halved(model, images).kept_dense
    told = halved(model, images, unwrapped_parameters={"1.scale": 0})
    assert told.smaller[1].scale.shape == (4, 1, 6)
    with pytest.raises(InvalidInput, match="axes 0 to 2"):
        halved(model, images, unwrapped_parameters={"1.scale": 3})
    with pytest.raises(InvalidInput, match=r"did you mean '1\.scale'"):
        halved(model, images, unwrapped_parameters={"1.scales": 0})


def test_ghost_modules_keep_a_filter_in_every_layer(images: torch.Tensor) -> None:
    model = convolutions(Ghost(8), Ghost(8))
    pruned = prune(model, images, "l1_filter", channel_sparsity=0.9)
    layers = [m for m in pruned.smaller.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(len(layer.weight) > 0 for layer in layers)
    assert difference_of_values(pruned, images) < 1e-4


def test_shuffled_channels_stay_and_the_rest_goes(images: torch.Tensor) -> None:
    pruned = halved(convolutions(Shuffle(8), Shuffle(8)), images)
    assert pruned.channels.kept.keys() == {"3"}
    assert {"0", "1.inner"} <= pruned.kept_dense.keys()
    assert difference_of_values(pruned, images) < 1e-4


def test_a_branch_that_adds_nothing_yet_hides_no_fault(images: torch.Tensor) -> None:
    """Residual networks start with a last scale of zero: what is wrong inside would not show."""

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(8, 8, 1)
            self.back = nn.Conv2d(8, 8, 1)
            self.norm = nn.BatchNorm2d(8)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.norm(self.back(self.wide(x).flip(1).softmax(1)))

    pruned = halved(convolutions(Branch()), images)
    assert "1.wide" in pruned.kept_dense
    assert "2" in pruned.channels.kept


class Tied(nn.Module):
    """A token embedding that is also the head."""

    def __init__(self, *, other: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.inner = nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, ids: torch.Tensor, shift: float = 0.0) -> dict[str, Any]:
        hidden = self.inner(self.embedding(ids).relu()) + shift
        return {"logits": self.head(self.mlp(hidden).tanh()), "cache": object(), "loss": None}


def test_tied_weights_stay_tied() -> None:
    ids = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    model = Tied()
    pruned = halved(model, {"ids": ids})
    small = pruned.smaller
    assert small.head.weight is small.embedding.weight
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    assert "embedding' and 'head' share a weight" in pruned.kept_dense["mlp.2"]
    assert pruned.channels.kept.keys() == {"inner", "mlp.0"}


def test_weights_tied_in_one_group_are_cut_as_one(images: torch.Tensor) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 8), nn.Linear(6, 8)
            self.second.weight = self.first.weight
            self.out = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.first(x).relu() + self.second(-x).relu())

    pruned = halved(nn.Sequential(model[0], Twice()), images)
    twice = pruned.smaller[1]
    assert twice.first.weight is twice.second.weight
    assert twice.first.weight.shape == (4, 3)


def test_inputs_may_be_a_mapping_or_several() -> None:
    ids = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    named = halved(Tied(), {"ids": ids, "shift": 1.0})
    several = halved(Tied(), (ids, 1.0))
    assert named.channels.kept.keys() == several.channels.kept.keys()
    fitted = prune(Tied(), {"ids": ids}, "entropic", data=[{"ids": ids}, {"ids": ids}])
    assert fitted.channels.kept.keys() <= {"inner", "mlp.0"}
    with pytest.raises(InvalidInput, match=r"cannot run on inputs of shape ids \(2, 7, 1\)"):
        halved(Tied(), {"ids": ids[..., None].double()})


class Fours(nn.Module):
    """Runs on a multiple of four channels only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(1, (4, -1)).flatten(1, 2) if len(x) > 1 else x


def test_a_smaller_network_that_does_not_run_is_refused(images: torch.Tensor) -> None:
    model = convolutions(Fours())
    assert halved(model, images).smaller[0].out_channels == 4
    with pytest.raises(CannotPrune, match=r"does not run.*ignored_layers") as refusal:
        prune(model, images, "l1_filter", channel_sparsity=0.25)
    assert refusal.value.code == "cannot-prune"
    kept = prune(model, images, "l1_filter", channel_sparsity=0.25, ignored_layers=["0"])
    assert kept.channels.kept.keys() == {"2"}


class Whole(nn.Module):
    """Adds a tenth of a per cent where there are less than four channels: a fault of values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1.01 if x.shape[1] < 4 else 1.0)


def test_a_smaller_network_that_computes_something_else_is_refused(images: torch.Tensor) -> None:
    with pytest.raises(CannotPrune, match=r"more than 0\.001") as refusal:
        prune(convolutions(Whole()), images, "l1_filter", channel_sparsity=0.75)
    assert 0.001 < refusal.value.details["difference"] < 0.02


def test_weights_that_are_computed_stay(images: torch.Tensor) -> None:
    model = convolutions(nn.ReLU())
    nn.utils.parametrizations.weight_norm(model[0])
    pruned = halved(model, images)
    assert "cannot be removed from the weight" in pruned.kept_dense["0"]
    assert pruned.channels.kept.keys() == {"2"}


def test_a_network_that_cannot_be_copied_is_refused(images: torch.Tensor) -> None:
    model = convolutions()
    model.state = model[0](images)
    with pytest.raises(CannotPrune, match="cannot be copied"):
        halved(model, images)


def test_a_network_in_half_precision_is_tried_in_single(images: torch.Tensor) -> None:
    model = convolutions(Shuffle(8)).bfloat16()
    pruned = halved(model, images.bfloat16())
    assert pruned.channels.kept.keys() == {"2"}
    assert pruned.smaller[2].weight.dtype == torch.bfloat16
    assert {p.requires_grad for p in pruned.smaller.parameters()} == {True}


def test_frozen_weights_stay_frozen(images: torch.Tensor) -> None:
    model = convolutions(nn.ReLU(), nn.BatchNorm2d(8)).requires_grad_(False)
    pruned = halved(model, images)
    assert pruned.smaller[2].num_features == 4
    assert not any(p.requires_grad for p in pruned.smaller.parameters())
    assert not any(p.requires_grad for p in pruned.model.parameters())


class Keeping(nn.Module):
    """Keeps what it computed of its weights in evaluation mode, as LeViT keeps its biases."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(1, 2, width))
        self.kept: dict[str, torch.Tensor] = {}

    def train(self, mode: bool = True) -> "Keeping":
        self.kept = {}
        return super().train(mode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or "" not in self.kept:
            self.kept[""] = self.scale[:, None, None] * 2
        return x * self.kept[""]


def test_what_a_network_keeps_of_its_weights_is_not_taken_for_theirs(images: torch.Tensor) -> None:
    pruned = halved(convolutions(Keeping(8)), images)
    assert pruned.channels.kept["0"].sum() == 4
    assert len(pruned.smaller[1].scale) == 4


def test_what_is_refused_says_why(images: torch.Tensor) -> None:
    lazy = convolutions(nn.LazyConv2d(8, 1))
    with pytest.raises(InvalidInput, match="run the model on one batch first"):
        halved(lazy, images)
    with pytest.raises(InvalidInput, match="_orig_mod"):
        halved(torch.compile(convolutions(), backend="eager"), images)
    transposed = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 4, 2, 2, groups=2), nn.Flatten(),
        nn.Linear(4 * 144, 4),
    )  # fmt: skip
    with pytest.raises(CannotPrune, match=r"grouped convolution '1' .* raiw\.sparsify"):
        halved(transposed, images)
