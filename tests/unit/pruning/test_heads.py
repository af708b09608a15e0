"""Attention loses whole heads, and gates go with their values."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from raiw.errors import InvalidInput
from raiw.pruning.prune import prune
from tests.unit.pruning.halves import difference_of_values, halved


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


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))


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


class Gated(nn.Module):
    """A perceptron whose gates and values come of one layer, one after the other or in turn."""

    def __init__(self, *, in_turn: bool) -> None:
        super().__init__()
        self.gate_up, self.down = nn.Linear(16, 24), nn.Linear(12, 16)
        self.in_turn = in_turn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = self.gate_up(x)
        gate, up = (both[..., ::2], both[..., 1::2]) if self.in_turn else both.chunk(2, -1)
        return self.down(up * torch.sigmoid(gate))


@pytest.mark.parametrize("in_turn", [False, True])
def test_gates_go_with_what_they_are_multiplied_by(tokens: torch.Tensor, in_turn: bool) -> None:
    pruned = halved(Block(Gated(in_turn=in_turn), 16), tokens)
    kept = pruned.channels.kept["attention.gate_up"]
    gates, values = kept.reshape(12, 2).T if in_turn else kept.reshape(2, 12)
    assert gates.tolist() == values.tolist()
    assert gates.sum() == 6
    assert pruned.smaller.attention.down.in_features == 6
    assert difference_of_values(pruned, tokens) < 1e-4
