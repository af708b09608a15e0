"""Specs read from networks and their weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import raiw
from raiw.errors import InvalidSpec, InvalidTensors, NotFound
from raiw.nets.registry import NETS, build


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.conv = nn.Conv2d(8, 16, (3, 1), groups=2)
        self.depthwise = nn.Conv2d(16, 16, 3, groups=16)
        self.up = nn.ConvTranspose2d(16, 8, 2)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.fc = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.fc.weight
        self.value = nn.Linear(8, 1)


def test_every_layer_once_with_its_groups() -> None:
    spec = raiw.Spec.from_model(Net(), density=0.5)
    assert [(layer.name, layer.weight_shape) for layer in spec.layers] == [
        ("conv", (16, 4, 3, 1)),
        ("depthwise", (16, 1, 3, 3)),
        ("up", (16, 8, 2, 2)),
        ("attention.in_proj_weight.q", (8, 8)),
        ("attention.in_proj_weight.k", (8, 8)),
        ("attention.in_proj_weight.v", (8, 8)),
        ("attention.out_proj", (8, 8)),
        ("fc", (8, 8)),
        ("value", (1, 8)),
    ]
    dense = {layer.name for layer in spec.plan().layers if layer.dense}
    assert dense == {"depthwise", "value"}
    assert all("cut a vertex off" in rule.note for rule in spec.craft.rules)


def test_model_to_masks_to_model() -> None:
    """The main path of an engineer: spec, importance, craft, apply."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 4)
    )
    spec = raiw.Spec.from_model(net, density=0.25)
    scores = raiw.score(net, torch.randn(6, 3, 6, 6), "gradient")
    masks = raiw.craft(spec, scores)
    handle = raiw.apply(net, masks)
    handle.check()
    for name, mask in masks.items():
        kept = (
            net.get_submodule(name).weight.flatten(2).abs().sum(2)
            if mask.layer.taps > 1
            else net.get_submodule(name).weight
        )
        assert int((kept != 0).sum()) == mask.edges


def test_weights_computed_at_each_access_are_different_layers() -> None:
    layers = [nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)) for _ in range(6)]
    names = [layer.name for layer in raiw.Spec.from_model(nn.Sequential(*layers)).layers]
    assert names == ["0", "1", "2", "3", "4", "5"]


def test_rules_of_the_caller_win() -> None:
    rules = [{"match": "value", "edges": 4}, {"match": "conv", "dense": True}]
    plan = raiw.Spec.from_model(Net(), density=0.5, rules=rules).plan()
    edges = {layer.name: layer.edges for layer in plan.layers}
    assert edges["value"] == 4
    assert edges["conv"] == 64


def test_a_checkpoint_is_read_from_its_header(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.Linear(6, 10))
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    from_file = raiw.Spec.from_safetensors(tmp_path / "net.safetensors", degree=2)
    from_state = raiw.Spec.from_state_dict(net.state_dict(), degree=2)
    wanted = raiw.Spec.from_model(net, degree=2)
    assert from_file == from_state
    assert {layer.name: layer.weight_shape for layer in from_file.layers} == {
        layer.name: layer.weight_shape for layer in wanted.layers
    }
    whole = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(whole[:-9])
    with pytest.raises(InvalidTensors):
        raiw.Spec.from_safetensors(tmp_path / "net.safetensors")
    with pytest.raises(NotFound):
        raiw.Spec.from_safetensors(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.ReLU(), "no linear layer"),
        (nn.Sequential(nn.LazyLinear(3)), "layer '0', a LazyLinear, .* one batch first"),
        (nn.Sequential(nn.LazyConv2d(3, 1)), "one batch first"),
        ({"fc": 1}, "not a torch module"),
    ],
)
def test_what_is_no_network(model: object, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        raiw.Spec.from_model(model)
    with pytest.raises(InvalidSpec, match="no tensor is called"):
        raiw.Spec.from_state_dict({"x": torch.ones(3)})


class Counted(nn.Module):
    """Layers that are called twice, share a weight, are attention, or take no batch as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.cross = nn.MultiheadAttention(4, 2, kdim=2, vdim=2)
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.unused = nn.Conv1d(2, 2, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(self.up(self.conv(images)).flatten(2).transpose(1, 2))
        found, _ = self.cross(
            tokens.transpose(0, 1),
            key=images[:, :2, 0].permute(2, 0, 1),
            value=images[:, :2, 0].permute(2, 0, 1),
        )
        return self.two(self.one(self.one(found)))


def test_positions_are_counted_on_one_input() -> None:
    net = Counted().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    spec = raiw.Spec.from_model(net, input_size=(3, 9, 11))
    convolved, raised = 4 * 5, 8 * 10
    assert {layer.name: layer.positions for layer in spec.layers} == {
        "conv": convolved,
        "up": convolved,
        "encoder.self_attn.in_proj_weight.q": raised,
        "encoder.self_attn.in_proj_weight.k": raised,
        "encoder.self_attn.in_proj_weight.v": raised,
        "encoder.self_attn.out_proj": raised,
        "encoder.linear1": raised,
        "encoder.linear2": raised,
        "cross.q_proj_weight": raised,
        "cross.k_proj_weight": 11,
        "cross.v_proj_weight": 11,
        "cross.out_proj": raised,
        "one": 3 * raised,
        "unused": None,
    }
    assert net.training
    assert not net.conv._forward_hooks
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(InvalidSpec, match=r"does not run on one input of size \(4, 9, 9\)"):
        raiw.Spec.from_model(net, input_size=(4, 9, 9))


@pytest.mark.parametrize("name", NETS)
def test_the_catalogue_and_its_modules_agree_on_positions(name: str) -> None:
    with torch.device("meta"):
        read = raiw.Spec.from_model(build(name), input_size=NETS[name].input_shape)
    wanted = raiw.Spec.parse({"model": name, "craft": {"density": 1.0}})
    assert [(layer.name, layer.weight_shape, layer.positions) for layer in read.layers] == [
        (layer.name, layer.weight_shape, layer.positions) for layer in wanted.layers
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"c.weight": (2, 3, 4), "c.bias": (5,)}, "has two to five axes"),
        ({"c.weight": (3, 0, 4), "c.bias": (5,)}, "has two to five axes"),
        ({"first.weight": (6, 4), "first.bias": (5,)}, "has two to five axes"),
        ({"embed.weight": (6, 4)}, "has two to five axes"),
    ],
)
def test_a_weight_that_contradicts_its_bias_is_no_layer(state: dict, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        raiw.Spec.from_state_dict({name: torch.ones(shape) for name, shape in state.items()})


def test_a_glob_that_names_no_convolution_is_told() -> None:
    with pytest.raises(InvalidSpec, match="no layer is called 'upp"):
        raiw.Spec.from_state_dict({"up.weight": torch.ones(2, 2, 2)}, transposed=["up*", "upp*"])
