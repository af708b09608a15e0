"""Channel pruning: what is removed, and that the smaller network computes the same."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from raiw.errors import InvalidInput, InvalidMasks
from raiw.masks import channels
from raiw.nets.registry import build
from raiw.pruning.criteria.slimming import penalty
from raiw.pruning.methods import METHODS
from raiw.pruning.prune import prune
from raiw.pruning.shrink import shrink, silence
from raiw.pruning.thresholds import prune_weights
from raiw.reproduction.registry import item

OPTIONS = {
    "afie": {"channel_sparsity": 0.4},
    "entropic": {"positions": 4},
    "l1_filter": {"channel_sparsity": 0.4},
    "slimming": {"channel_sparsity": 0.4},
}


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.norm1(self.first(x)))
        return torch.relu(x + self.norm2(self.second(inner)))


class Concatenated(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, 3 * growth, 1)
        self.norm = nn.BatchNorm2d(3 * growth)
        self.wide = nn.Conv2d(3 * growth, growth, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.wide(torch.sigmoid(self.norm(self.narrow(x))))], 1)


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(8),
        nn.MaxPool2d(2),
        Concatenated(8, 4),
        Concatenated(12, 4),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 12, 3, stride=2),
        nn.Tanh(),
        nn.Conv2d(12, 12, 1, groups=3),
        nn.Flatten(),
        nn.Linear(48, 10),
        nn.ReLU(),
        nn.Linear(10, 5),
    )
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return model.double().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(12, 3, 12, 12, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("method", METHODS)
def test_the_smaller_network_computes_what_the_masked_one_does(
    method: str, network: nn.Sequential, images: torch.Tensor
) -> None:
    before = copy.deepcopy(network.state_dict())
    pruned = prune(network, images, method, **OPTIONS[method])
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert pruned.channels.channel_sparsity > 0
    torch.testing.assert_close(pruned.smaller(images), pruned.model(images))
    assert _parameters(pruned.smaller) < _parameters(network)
    for name, filters in pruned.channels.kept.items():
        assert len(pruned.smaller.get_submodule(name).weight) == filters.sum() > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_same_call_chooses_the_same(
    method: str, network: nn.Sequential, images: torch.Tensor
) -> None:
    first, second = (prune(network, images, method, **OPTIONS[method]) for _ in range(2))
    assert first.channels.digest == second.channels.digest


def test_layers_that_cannot_lose_filters_say_why(
    network: nn.Sequential, images: torch.Tensor
) -> None:
    pruned = prune(network, images, "l1_filter", channel_sparsity=0.5)
    assert pruned.kept_dense.keys() == {"8", "10", "14"}
    assert "grouped" in pruned.kept_dense["8"]
    assert "outputs" in pruned.kept_dense["14"]


def test_added_channels_go_together(network: nn.Sequential, images: torch.Tensor) -> None:
    kept = prune(network, images, "l1_filter", channel_sparsity=0.5).channels.kept
    assert np.array_equal(kept["0"], kept["3.second"])
    different = kept | {"0": ~kept["0"]}
    with pytest.raises(InvalidInput, match="must keep the same ones"):
        shrink(network, different, images)


def test_l1_removes_the_smallest_filters(images: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3)).double()
    with torch.no_grad():
        model[0].weight.copy_(
            torch.tensor([5, -1, 3, 2, 1, 4]).double()[:, None, None, None].expand(6, 3, 3, 3)
        )
    kept = prune(model, images, "l1_filter", channel_sparsity=0.5).channels.kept
    assert kept["0"].tolist() == [True, False, True, False, False, True]


def test_afie_meets_its_share_of_the_filters_of_every_layer(
    network: nn.Sequential, images: torch.Tensor
) -> None:
    """Layers that are added have a filter each for one channel; linear ones keep theirs."""
    pruned = prune(network, images, "afie", channel_sparsity=0.5).channels
    sizes = [len(filters) for filters in pruned.kept.values()]
    assert abs(pruned.channel_sparsity - 0.5) * sum(sizes) <= 2
    assert "12" not in pruned.kept
    every = prune(network, images, "afie", channel_sparsity=0.5, layers="all").channels
    assert "12" in every.kept
    assert abs(every.channel_sparsity - 0.5) * (sum(sizes) + 10) <= 2
    with pytest.raises(InvalidInput, match="layers='all'"):
        prune(
            nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)),
            torch.ones(1, 4),
            "afie",
            channel_sparsity=0.5,
        )


def test_afie_prunes_as_the_reproduction_says() -> None:
    rows = item("afie-shape").run()
    model = build("vgg16-cifar10")
    random = np.random.default_rng(0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            shape = tuple(layer.weight.shape)
            values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
            layer.weight.data.copy_(torch.from_numpy(values))
    inputs = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    channels = prune(model, inputs, "afie", channel_sparsity=0.5).channels
    ours = [f"{facts['afie']:.5f}, {facts['share']:.3f}" for facts in channels.facts.values()]
    assert ours == [row.ours.partition(" (")[0] for row in rows]
    assert abs(channels.channel_sparsity - 0.5) < 1e-3


def test_slimming_has_one_threshold_for_the_network(images: torch.Tensor) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 1, 1),
    ).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.1, -0.2, 0.9, 0.3]))
        model[3].weight.copy_(torch.tensor([-0.8, 0.7, 0.25, 0.6]))
    kept = prune(model, images, "slimming", channel_sparsity=0.5).channels.kept
    assert kept["0"].tolist() == [False, False, True, False]
    assert kept["2"].tolist() == [True, True, False, True]


def test_slimming_needs_batch_norms(images: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 1, 1)).double()
    with pytest.raises(InvalidInput, match="batch normalisation"):
        prune(model, images, "slimming", channel_sparsity=0.5)


def test_the_penalty_of_slimming_pulls_every_scale_towards_zero() -> None:
    """Liu et al. 2017, Eq. 1: the L1 norm of the scales; its subgradient is 0 at 0."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.Flatten(),
        nn.BatchNorm1d(2, affine=False), nn.LayerNorm(2),
    )  # fmt: skip
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.5, -2.0, 0.0, 1.0]))
        model[3].weight.copy_(torch.tensor([-0.25, 4.0]))
    added = penalty(model, 0.5)
    assert added.item() == 0.5 * 7.75
    added.backward()
    assert model[1].weight.grad.tolist() == [0.5, -0.5, 0.0, 0.5]
    assert model[3].weight.grad.tolist() == [-0.5, 0.5]
    touched = {name for name, value in model.named_parameters() if value.grad is not None}
    assert touched == {"1.weight", "3.weight"}
    assert penalty(nn.Linear(2, 2), 0.5).item() == 0


def test_entropic_finds_channels_that_copy_others() -> None:
    """Half of the hidden channels double others; the outputs need one of each pair."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 12, 3), nn.ReLU(), nn.Conv2d(12, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 25, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        model[0].weight[6:] = model[0].weight[:6]
        model[0].bias[6:] = model[0].bias[:6]
    images = torch.randn(300, 2, 12, 12).double()
    pruned = prune(model, images, "entropic", entropy=1e-2)
    kept = pruned.channels.kept["0"]
    assert (kept[:6] ^ kept[6:]).all()
    outputs, wanted = pruned.smaller(images), model(images)
    assert ((outputs - wanted) ** 2).mean() < 0.02 * wanted.var()


def test_channel_masks_in_a_file(
    network: nn.Sequential, images: torch.Tensor, tmp_path: Path
) -> None:
    pruned = prune(network, images, "afie", channel_sparsity=0.3)
    path = tmp_path / "channels.safetensors"
    pruned.channels.save(path)
    read = channels.load(path)
    assert read.digest == pruned.channels.digest
    assert read.to_json()["method"] == "afie"
    smaller = shrink(pruned.model, read.kept, images)
    torch.testing.assert_close(smaller(images), pruned.smaller(images))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InvalidMasks, match="do not give the digest"):
        channels.load(path)
    path.write_bytes(whole[:-1] + b"\x00\x00")
    with pytest.raises(InvalidMasks):
        channels.load(path)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("l1_filters", {}, "did you mean 'l1_filter'"),
        ("afie", {}, "needs the option 'channel_sparsity'"),
        ("afie", {"channel_sparsity": 1.0}, r"0 to 0\.99"),
        ("afie", {"channel_sparsity": 0.5, "within": "l2"}, "'l1' or 'random'"),
        ("afie", {"channel_sparsity": 0.5, "layers": "linear"}, "'convolutions' or 'all'"),
        ("afie", {"sparsity": 0.5}, "did you mean 'channel_sparsity'"),
        ("entropic", {"sign": 2}, "1 .minimise"),
        ("entropic", {"l2": 0}, "above 0"),
        ("entropic", {"entropy": 1e300}, "neither above 1000"),
        ("entropic", {"positions": 0}, "at least one position"),
        ("entropic", {"l2": "much"}, "a number"),
    ],
)
def test_bad_options(
    method: str,
    options: dict[str, object],
    words: str,
    network: nn.Sequential,
    images: torch.Tensor,
) -> None:
    with pytest.raises(InvalidInput, match=words):
        prune(network, images, method, **options)


def test_networks_that_cannot_be_pruned(network: nn.Sequential, images: torch.Tensor) -> None:
    with pytest.raises(InvalidInput, match="outputs"):
        prune(nn.Linear(4, 4), torch.ones(1, 4), "l1_filter", channel_sparsity=0.5)
    with pytest.raises(InvalidInput, match=r"cannot run on inputs of shape \(12, 2"):
        prune(network, images[:, :2], "l1_filter", channel_sparsity=0.5)
    with pytest.raises(InvalidInput, match=r"prune\(model, inputs, 'l1_filter'\)"):
        prune(network, "l1_filter", images, channel_sparsity=0.5)
    with pytest.raises(InvalidInput, match="no samples"):
        prune(network, images, "entropic", data=[])
    with pytest.raises(InvalidInput, match="no such layer"):
        silence(network, {"nowhere": np.ones(3, np.bool_)}, images)
    with pytest.raises(InvalidInput, match="lose all filters"):
        silence(network, {"12": np.zeros(10, np.bool_)}, images)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_weights_above_the_deviation_stay() -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(72, 10))
    masks = prune_weights(model, 1.0, {"2": 1.5})
    weight = model[2].weight.detach().double()
    assert torch.equal(masks["2"].torch(), weight.abs() > 1.5 * weight.std(correction=0))
    filters = model[0].weight.detach().double()
    root_mean_square = (filters**2).mean((2, 3)).sqrt()
    assert torch.equal(masks["0"].torch(), root_mean_square > filters.std(correction=0))
    assert prune_weights(model, 0)["2"].edges == 720
    with pytest.raises(InvalidInput, match="0 or more"):
        prune_weights(model, -1)
    with pytest.raises(InvalidInput, match="no layer '3'"):
        prune_weights(model, 1, {"3": 1})


@pytest.mark.parametrize("method", ["l1_filter", "slimming"])
def test_of_equal_channels_the_later_go_first(method: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1))
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(0.5)
        model[0].weight[1] = model[1].weight[1] = 0.1  # less than the others
    pruned = prune(model, torch.zeros(1, 1, 4, 4), method, channel_sparsity=0.5)
    assert pruned.channels.kept["0"].tolist() == [True, False, True, True, False, False]


def test_data_may_have_labels_and_come_from_a_generator(
    network: nn.Sequential, images: torch.Tensor
) -> None:
    batches = [images[:2], images[2:]]
    plain = prune(network, images, "entropic", data=batches)
    labelled = ((batch, torch.zeros(len(batch))) for batch in batches)
    told = prune(network, images, "entropic", data=labelled)
    assert told.channels.digest == plain.channels.digest
