"""Pruning networks whose layers are tied in ways that a trace does not show."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from raiw.errors import CannotPrune, InvalidInput
from raiw.pruning.prune import Pruned, prune


class Fused(nn.Module):
    """Attention of one layer for queries, keys and values, as vision transformers have it."""

    def __init__(self, width: int, heads: int, *, together: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, width // heads, width
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.together = together

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, _ = x.shape
        parts = (self.num_heads, 3) if self.together else (3, self.num_heads)
        qkv = self.qkv(x).reshape(batch, tokens, *parts, self.head_dim)
        q, k, v = qkv.permute(3, 0, 2, 1, 4) if self.together else qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(mixed.reshape(batch, tokens, self.attn_dim))


class Separate(nn.Module):
    """Attention of separate layers that finds its heads by their size, as language models do."""

    def __init__(self, width: int, heads: int, key_heads: int, *, rotary: bool = False) -> None:
        super().__init__()
        self.head_dim: int | None = width // heads
        self.rotary = rotary
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, key_heads * (width // heads))
        self.v_proj = nn.Linear(width, key_heads * (width // heads))
        self.o_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (*x.shape[:-1], -1, self.head_dim or 4)
        layers = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (layer(x).view(shape).transpose(1, 2) for layer in layers)
        if self.rotary:
            q, k = (one + torch.cat((-one[..., 1::2], one[..., ::2]), -1) for one in (q, k))
        k, v = (one.repeat_interleave(q.shape[1] // one.shape[1], 1) for one in (k, v))
        mixed = scaled_dot_product_attention(q, k, v)
        return self.o_proj(mixed.transpose(1, 2).reshape(*x.shape[:-1], -1))


class Block(nn.Module):
    """Attention and a perceptron, each added to what comes in."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), attention
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 24), nn.GELU(), nn.Linear(24, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


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
def tokens() -> torch.Tensor:
    return torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def halved(model: nn.Module, inputs: Any, **guide: Any) -> Pruned:
    return prune(model, inputs, "l1_filter", channel_sparsity=0.5, **guide)


def difference_of_values(pruned: Pruned, inputs: torch.Tensor) -> float:
    """Compare again with other weights: those of a fresh network hide what is mixed up."""
    masked, smaller = copy.deepcopy(pruned.model), copy.deepcopy(pruned.smaller)
    for (name, large), (other, small) in zip(
        masked.named_parameters(), smaller.named_parameters(), strict=True
    ):
        assert name == other
        if large.shape == small.shape:
            large.data.copy_(small.data.normal_(0, 0.5))
        else:
            large.data.mul_(4)
            small.data.mul_(4)
    with torch.no_grad():
        return (masked(inputs) - smaller(inputs)).abs().max().item()


ATTENTION: dict[str, Callable[[], nn.Module]] = {
    "fused": lambda: Fused(16, 4),
    "fused, each head together": lambda: Fused(16, 4, together=True),
    "separate": lambda: Separate(16, 4, 4),
    "shared keys": lambda: Separate(16, 4, 2),
    "rotated": lambda: Separate(16, 4, 4, rotary=True),
}


@pytest.mark.parametrize("kind", ATTENTION)
def test_attention_loses_whole_heads(kind: str, tokens: torch.Tensor) -> None:
    torch.manual_seed(0)
    block = Block(ATTENTION[kind](), 16)
    with torch.no_grad():
        for weight in block.parameters():
            weight.mul_(0.1)  # as small as a transformer starts: mixed heads hardly show
    pruned = halved(nn.Sequential(block, nn.Linear(16, 3)), tokens)
    assert difference_of_values(pruned, tokens) < 1e-5
    makers = [name for name in pruned.channels.kept if "attention" in name]
    assert makers
    for name in makers:
        by_head = pruned.channels.kept[name].reshape(-1, 4)
        assert (by_head == by_head[:, :1]).all()
        assert by_head.mean() == 0.5
    assert "0.mlp.0" in pruned.channels.kept
    assert "LayerNorm" in pruned.kept_dense["0.mlp.2"]


@pytest.mark.parametrize(
    ("method", "options"),
    [("entropic", {"channel_sparsity": 0.5}), ("afie", {"channel_sparsity": 0.4, "layers": "all"})],
)
def test_methods_see_heads_as_channels(
    method: str, options: dict[str, Any], tokens: torch.Tensor
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Block(Fused(16, 4), 16), nn.Linear(16, 3))
    pruned = prune(model, tokens, method, **options)
    kept = pruned.channels.kept["0.attention.qkv"].reshape(3, 4, 4)
    assert (kept == kept[:1, :, :1]).all()
    assert pruned.smaller[0].attention.num_heads == kept[0, :, 0].sum() < 4
    assert difference_of_values(pruned, tokens) < 1e-5


def test_heads_that_the_module_does_not_tell_are_asked_of_the_caller(tokens: torch.Tensor) -> None:
    model = nn.Sequential(Separate(16, 4, 4), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    model[0].head_dim = None
    alone = halved(model, tokens)
    assert "mixes" in alone.kept_dense["0.q_proj"]
    told = halved(model, tokens, num_heads={"0.q_proj": 4})
    assert told.smaller[0].q_proj.out_features == 8
    with pytest.raises(InvalidInput, match=r"did you mean '0\.q_proj'"):
        halved(model, tokens, num_heads={"0.qproj": 4})
    with pytest.raises(InvalidInput, match="at least 1"):
        halved(model, tokens, num_heads={"0.q_proj": 0})


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
