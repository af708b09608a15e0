"""Layers that a compact network joins, or must leave alone."""

import pytest
import torch
from torch import nn

import raiw
from raiw.compacting.compact import forms_of
from tests.unit.compacting.small_networks import INPUTS, assert_near, conv, craft, linear


class Whole(nn.Module):
    """Layers that must stay dense."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 8, 3)
        self.one = nn.Linear(16, 16)
        self.other = nn.Linear(16, 16)
        self.other.weight = self.one.weight
        self.watched = nn.Linear(16, 16)
        self.watched.register_forward_hook(lambda *_: None)


def test_layers_that_are_more_than_a_product_stay_dense():
    up = conv("up", 8, 8) | {"kind": "conv_transpose2d"}
    masks = craft(up, *(linear(name, 16, 16) for name in ("one", "watched")))
    small = raiw.compact(Whole(), masks)
    assert forms_of(small) == {}
    assert small.one.weight is small.other.weight
    kept = masks["one"].torch()
    assert torch.equal(small.one.weight != 0, kept)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_transformer_layers_run_without_their_fast_path():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    network = nn.TransformerEncoder(layer, 2).eval()
    names = [f"layers.{n}.linear{k}" for n in (0, 1) for k in (1, 2)]
    sides = [(16, 32), (32, 16)] * 2
    masks = craft(*(linear(name, *side) for name, side in zip(names, sides, strict=True)))
    small = raiw.compact(network, masks, forms=["condensed"])
    assert set(forms_of(small)) == set(names)
    raiw.apply(network, masks)
    inputs, padding = torch.randn(3, 5, 16), torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 3:] = True
    with torch.no_grad():
        assert_near(small(inputs), network(inputs))
        wanted = network(inputs, src_key_padding_mask=padding)
        assert_near(small(inputs, src_key_padding_mask=padding)[~padding], wanted[~padding])


def test_modules_that_stand_twice_are_joined_where_they_stand():
    relu, first = nn.ReLU(), nn.Linear(16, 16)
    network = nn.Sequential(first, relu, nn.Linear(16, 16), relu, first, nn.Linear(16, 16), relu)
    masks = craft(*(linear(name, 16, 16) for name in ("0", "2", "5")))
    small = raiw.compact(network, masks, forms=["condensed"])
    assert small[0] is small[4]
    assert small[0].after is None  # once a ReLU follows, once none
    assert isinstance(small[3], nn.Identity)
    raiw.apply(network, masks)
    inputs = torch.randn(3, 16)
    with torch.no_grad():
        assert_near(small(inputs), network(inputs))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2, 1), nn.MaxPool2d(2, padding=1), nn.MaxPool2d(2, ceil_mode=True),
             nn.MaxPool2d((2, 3)), nn.MaxPool2d(2, dilation=2), nn.AvgPool2d(2)],
)  # fmt: skip
def test_only_poolings_of_plain_squares_are_joined(pool):
    network = nn.Sequential(nn.Conv2d(8, 16, 3), pool)
    masks = craft(conv("0", 8, 16))
    small = raiw.compact(network, masks, forms=["condensed"])
    assert type(small[1]) is type(pool)
    raiw.apply(network, masks)
    with torch.no_grad():
        assert_near(small(INPUTS[..., :9]), network(INPUTS[..., :9]))


def test_a_norm_over_tokens_is_no_norm_over_outputs():
    network = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(5)).eval()
    masks = craft(linear("0", 16, 16))
    small = raiw.compact(network, masks, forms=["condensed"])
    raiw.apply(network, masks)
    inputs = torch.randn(3, 5, 16)
    with torch.no_grad():
        assert_near(small(inputs), network(inputs))
