"""A network, its state dict and its file on disk tell the same layers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import raiw

SIDE = st.integers(1, 6)
AXES = st.integers(1, 3)


@st.composite
def convolutions(draw, *, transposed):
    axes, groups = draw(AXES), draw(st.integers(1, 3))
    make = getattr(nn, f"Conv{'Transpose' if transposed else ''}{axes}d")
    bias = draw(st.booleans()) if groups == 1 or not transposed else True
    kernel = tuple(draw(SIDE) for _ in range(axes))
    sides = draw(SIDE) * groups, draw(SIDE) * groups
    return make(*sides, kernel, groups=groups, bias=bias)


@st.composite
def attention(draw):
    width = 2 * draw(SIDE)
    others = {"kdim": draw(SIDE), "vdim": draw(SIDE)} if draw(st.booleans()) else {}
    return nn.MultiheadAttention(width, 2, bias=draw(st.booleans()), **others)


LAYERS = st.one_of(
    st.builds(nn.Linear, SIDE, SIDE, bias=st.booleans()),
    convolutions(transposed=False),
    convolutions(transposed=True),
    attention(),
    st.builds(lambda side: nn.TransformerEncoderLayer(2 * side, 2, side), SIDE),
    st.builds(lambda side: nn.ModuleDict({"embed": nn.Embedding(9, side)}), SIDE),
    st.builds(nn.BatchNorm2d, SIDE),
    st.builds(nn.LayerNorm, SIDE),
)


@st.composite
def networks(draw):
    """Return a network; transposed convolutions are called ``up…``, and one layer may be tied."""
    net = nn.Module()
    for index, layer in enumerate([nn.Linear(draw(SIDE), draw(SIDE)), *draw(st.lists(LAYERS))]):
        up = type(layer).__name__.startswith("ConvTranspose")
        net.add_module(f"{'up' if up else 'part'}{index}", layer)
    if draw(st.booleans()):
        net.tied = nn.Linear(*reversed(net.part0.weight.shape))
        net.tied.weight = net.part0.weight
    return net


def known(spec):
    """What a state dict says about its layers: everything but the groups of a convolution."""
    return [
        (layer.name, layer.kind, layer.graph_shape, layer.weight_shape) for layer in spec.layers
    ]


@pytest.mark.filterwarnings("ignore:taken for granted.*not embeddings")
@given(networks())
def test_a_state_dict_tells_what_the_model_tells(net):
    wanted = raiw.Spec.from_model(net)
    transposed = ["up*"] if any(layer.transposed for layer in wanted.layers) else []
    spec = raiw.Spec.from_state_dict(net.state_dict(), transposed=transposed)
    assert known(spec) == known(wanted)
    if all(layer.groups == 1 for layer in wanted.layers):
        assert spec == wanted


@given(convolutions(transposed=True).filter(lambda layer: layer.bias is not None))
def test_a_bias_that_fits_one_side_tells_the_direction(layer):
    net = nn.ModuleDict({"conv": layer})
    (found,) = raiw.Spec.from_state_dict(net.state_dict()).layers
    (wanted,) = raiw.Spec.from_model(net).layers
    assert found == wanted or layer.in_channels == layer.out_channels


def test_a_file_tells_what_the_state_dict_tells(tmp_path):
    net = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 6), nn.ConvTranspose1d(8, 3, 2, bias=False)
    )
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    spec = raiw.Spec.from_safetensors(tmp_path / "net.safetensors", transposed=["1"], density=0.5)
    assert sorted(known(spec)) == sorted(known(raiw.Spec.from_model(net)))
    masks = raiw.craft(spec)
    raiw.apply(net, masks).check()
    assert torch.count_nonzero(net[1].weight).item() == masks["1"].weights
