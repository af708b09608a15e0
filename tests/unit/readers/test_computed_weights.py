"""Weights that a module computes from others: what a mask on the parameter does to them."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import raiw
from raiw.errors import InvalidInput
from raiw.readers.modules import read_weights


class StdConv2d(nn.Conv2d):
    """Weight standardisation, as timm has it."""

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True, momentum=0.0)
        return functional.conv2d(
            x, weight.reshape_as(self.weight), self.bias, self.stride, self.padding
        )


class Conv2dSame(nn.Conv2d):
    """A class of its own that uses the weight as it is."""

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (0, 1, 0, 1))
        return functional.conv2d(
            padded, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Scaled(nn.Linear):
    """Zeros stay zeros: the weight is scaled, not shifted."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight / self.weight.norm(dim=1, keepdim=True), self.bias)


class Asking(nn.Linear):
    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return functional.linear(x, self.weight * scale)


@pytest.mark.parametrize("make", [nn.Linear, lambda n, m: nn.Conv1d(n, m, 3, groups=2)])
def test_only_the_norm_of_weights_is_scored_and_held_by_its_direction(make) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(4, 8, 1), nn.Flatten() if make is nn.Linear else nn.ReLU(), make(8, 6)
    )
    plain, inputs = copy.deepcopy(net), torch.randn(5, 4, 1 if make is nn.Linear else 7)
    parametrizations.weight_norm(net[2])
    labels = torch.randint(0, 6, (5,) if make is nn.Linear else (5, 5))
    assert raiw.Spec.from_model(net) == raiw.Spec.from_model(plain)
    for method in ("magnitude", "gradient", "snip", "synflow"):
        scores = raiw.score(net, [(inputs, labels)], method)
        masks = raiw.craft(raiw.Spec.from_model(net, density=0.5), scores)
    known = raiw.score(plain, method="magnitude")  # v starts as the weight
    assert (raiw.score(net, method="magnitude")["2"] == known["2"]).all()
    handle = raiw.apply(net, masks)
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(3):
        functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
    handle.check()
    kept = torch.from_numpy(masks["2"].for_weight()).expand_as(net[2].weight)
    assert (net[2].weight[~kept] == 0).all()
    assert (net[2].weight[kept] != 0).all()


def test_a_slice_that_weight_norm_would_divide_by_zero_is_refused() -> None:
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)))
    layer = {"name": "0", "kind": "linear", "in_features": 4, "out_features": 4}
    scores = {"0": torch.tensor([[1.0] * 4, [1.0] * 4, [0.0] * 4, [0.0] * 4]).numpy()}
    craft = {"algorithm": "magnitude", "density": 0.5}
    masks = raiw.craft({"layers": [layer], "craft": craft}, scores)
    with pytest.raises(InvalidInput, match=r"weight norm.* keeps nothing of 2"):
        raiw.apply(net, masks)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
def test_the_older_weight_norm_is_the_same() -> None:
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)))
    masks = raiw.craft(raiw.Spec.from_model(net, degree=1))
    handle = raiw.apply(net, masks)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    handle.check()
    net(torch.ones(2, 4))
    assert torch.count_nonzero(net[0].weight) == 4


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (parametrizations.spectral_norm, "the parametrization SpectralNorm"),
        (nn.utils.spectral_norm, "torch.nn.utils.spectral_norm"),
        (parametrizations.orthogonal, "the parametrization Orthogonal"),
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "torch.nn.utils.prune"),
    ],
)
def test_what_cannot_be_masked_is_left_out_by_name_and_unchanged(spoil, reason: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6))
    spoil(net[1])
    net.train()
    before = copy.deepcopy(net.state_dict())
    with pytest.warns(UserWarning, match=f"left out: 1 .its weight is computed by {reason}"):
        spec = raiw.Spec.from_model(net, density=0.5, input_size=(4,))
    scores = raiw.score(net, torch.ones(2, 4), "gradient")
    assert [layer.name for layer in spec.layers] == list(scores) == ["0"]
    raiw.apply(net, raiw.craft(spec, scores)).remove()
    assert net.training
    with pytest.raises(InvalidInput, match=f"'1' cannot hold a mask: .*{reason}"):
        raiw.apply(net, raiw.craft(raiw.Spec.from_model(nn.Sequential(*_two()), degree=1)))
    changed = {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"0.weight"}


def _two() -> list[nn.Module]:
    return [nn.Linear(4, 6), nn.Linear(6, 6)]


def test_a_class_that_makes_numbers_of_zeros_is_left_out() -> None:
    net = nn.Sequential(
        StdConv2d(4, 8, 3),
        Conv2dSame(8, 8, 3, groups=2, dilation=2),
        StdConv2d(8, 8, 1),
        nn.Flatten(),
        Scaled(72, 6),
    )
    before = copy.deepcopy(net.state_dict())
    with pytest.warns(UserWarning, match=r"left out: 0, 2 \(StdConv2d computes its weight"):
        spec = raiw.Spec.from_model(net, density=0.5)
    assert [layer.name for layer in spec.layers] == ["1", "4"]
    assert list(raiw.score(net, method="magnitude")) == ["1", "4"]
    plain = nn.Sequential(nn.Conv2d(4, 8, 3))
    with pytest.raises(InvalidInput, match="'0' cannot hold a mask: StdConv2d computes"):
        raiw.apply(net, raiw.craft(raiw.Spec.from_model(plain, degree=2)))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_class_that_cannot_be_tried_is_kept_with_a_word() -> None:
    net = nn.ModuleDict({"fc": Asking(4, 4)})
    with pytest.warns(UserWarning, match=r"kept, but: fc \(Asking cannot be tried"):
        spec = raiw.Spec.from_model(net, degree=1)
    with pytest.warns(UserWarning, match="'fc.weight': Asking cannot be tried"):
        raiw.apply(net, raiw.craft(spec))


def test_a_model_without_values_is_read_too() -> None:
    with torch.device("meta"):
        net = nn.Sequential(StdConv2d(4, 8, 3), Conv2dSame(8, 8, 3))
    reading = read_weights(net)
    assert [layer.name for layer in reading.layers] == ["1"]
    assert list(reading.unusable) == ["0"]
