"""Plan, training, pruning, scores and masks mean the same by a layer and by a weight."""

import numpy as np
import pytest
import torch
from torch import nn

import raiw
from raiw.applying.counts import count
from raiw.applying.places import find_places
from raiw.nets.registry import NETS, build
from raiw.pruning.prune import prune
from raiw.readers.modules import ModuleLayer, read_module


class Tied(nn.Module):
    """Two layers of one weight, one of which is called twice, and a layer that nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(6, 3)
        self.unused_conv = nn.Conv1d(6, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.first(x)))


class Attended(nn.Module):
    """A transposed convolution, and attention over what it makes."""

    def __init__(self, **sides: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 8, 2, stride=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **sides)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.up(x).flatten(2).transpose(1, 2)
        # A constant on the CPU: such a model cannot run without values.
        tokens = tokens + torch.arange(8.0)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


AWKWARD = {
    "alone": (lambda: nn.Conv2d(1, 8, 3, padding=1), (1, 4, 4)),
    "alone, attention": (lambda: nn.TransformerEncoderLayer(4, 2, 6), (3, 4)),
    "tied": (Tied, (6,)),
    "attention after a transposed convolution": (Attended, (3, 4, 4)),
    "attention of three projections": (lambda: Attended(kdim=8, vdim=8), (3, 4, 4)),
    "groups, batch norm, embedding": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, (3, 1), groups=2),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.ConvTranspose2d(8, 6, 3, groups=2),
            nn.Flatten(),
            nn.LazyLinear(3),
        ),
        (4, 9, 7),
    ),
    "one and three axes": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 3, (1, 2, 3)),
            nn.ConvTranspose3d(3, 4, 2),
            nn.Flatten(2),
            nn.Conv1d(4, 6, 3, stride=2),
            nn.ConvTranspose1d(6, 2, 3),
        ),
        (2, 4, 4, 4),
    ),
}


def model_of(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    if name in NETS:
        with torch.device("meta"):
            return build(name).eval(), NETS[name].input_shape
    make, size = AWKWARD[name]
    model = make().eval()
    with torch.no_grad():
        model(torch.zeros(1, *size))
    return model, size


def dense_weights(name: str) -> int:
    """Return what the plan of a network of the catalogue counts."""
    return raiw.Spec.parse({"model": name, "craft": {"density": 1.0}}).plan().dense_weights


def shape_of(layer: ModuleLayer) -> tuple[int, int]:
    """Return ``(out, in/groups)`` from the weight alone, by PyTorch's own convention."""
    first, second = layer.own(layer.weight).shape[:2]
    if "transpose" not in layer.kind:
        return first, second
    return second * layer.groups, first // layer.groups


@pytest.mark.parametrize("name", [*NETS, *AWKWARD])
def test_all_name_the_same_layers_shapes_and_counts(name: str) -> None:
    model, size = model_of(name)
    layers = read_module(model, size)
    names = [layer.name for layer in layers]
    spec = raiw.Spec.of_layers([layer.to_document() for layer in layers], {"density": 0.05})
    dense = raiw.Spec.from_model(model).plan()
    assert [layer.name for layer in spec.layers] == [layer.name for layer in dense.layers] == names
    assert [layer.shape for layer in dense.layers] == [shape_of(layer) for layer in layers]
    assert dense.weights == sum(layer.own(layer.weight).numel() for layer in layers)

    masks = raiw.craft(spec)
    counted, plan = count(model, masks, size), spec.plan()
    assert (counted.weights, counted.dense_weights) == (plan.weights, dense.weights)
    assert counted.weights == masks.weights
    assert counted.dense_flops == sum(
        2 * layer.own(layer.weight).numel() * layer.positions for layer in layers
    )
    called = {layer.name for layer in layers if layer.positions}
    assert counted.flops == sum(layer.flops for layer in plan.layers if layer.name in called)

    places = find_places(model, masks, strict=True)
    assert [place.layer for place in places] == names
    for place, layer in zip(places, layers, strict=True):
        assert place.weight is layer.weight
        assert place.where == layer.where
        kept = np.zeros(layer.weight.shape, bool)
        kept[place.where] = place.kept
        assert (layer.edges(kept)[:, :, 0] == masks[layer.name].numpy()).all()

    if name in AWKWARD:
        scores = raiw.score(model, method="magnitude")
        shapes = {layer.name: layer.shape for layer in dense.layers}
        assert {key: values.shape for key, values in scores.items()} == shapes


@pytest.mark.parametrize("name", ["digits-cnn", "lenet-mnist", "resnet32-cifar100"])
def test_the_account_of_pruning_is_that_of_the_plan(name: str) -> None:
    torch.manual_seed(0)
    model, size = build(name), NETS[name].input_shape
    pruned = prune(model, torch.zeros(2, *size), "l1_filter", channel_sparsity=0.5)
    assert pruned.dense_weights == dense_weights(name)
    assert pruned.weights == sum(layer.weight.numel() for layer in read_module(pruned.smaller))


def test_vgg16_has_the_weights_of_table_4_whoever_counts() -> None:
    with torch.device("meta"):
        model = build("vgg16-cifar10")
    assert dense_weights("vgg16-cifar10") == 14_977_728
    assert count(model, None, (3, 32, 32)).dense_weights == 14_977_728


def test_attention_and_transposed_convolutions_are_work_too() -> None:
    model, size = model_of("attention after a transposed convolution")
    tokens, width = 64, 8
    up, projections, head = 16 * 3 * 8 * 4, tokens * 4 * width * width, width * 4
    assert count(model, None, size).flops == 2 * (up + projections + head)
