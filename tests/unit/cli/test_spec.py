"""``raiw spec``: what it writes is a spec that ``raiw craft`` takes as it is."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

import raiw
from raiw.cli.app import run


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    parts = {
        "embed": nn.Embedding(9, 8),
        "conv": nn.Conv2d(1, 8, 3),
        "up": nn.ConvTranspose2d(8, 6, 2, bias=False),
        "encoder": nn.TransformerEncoderLayer(6, 2, 4),
        "fc": nn.Linear(6, 6),
        "tied": nn.Linear(6, 6),
    }
    parts["tied"].weight = parts["fc"].weight
    return nn.ModuleDict(parts)


def crafted(folder: Path, *arguments: str) -> raiw.MaskSet:
    """Return the masks of the spec that the command writes."""
    spec, masks = str(folder / "spec.yaml"), str(folder / "masks.safetensors")
    assert run(["spec", *arguments, "-o", spec, "--force"]) == 0
    assert run(["craft", spec, "-o", masks, "--local", "--force"]) == 0
    return raiw.load(masks)


@pytest.mark.parametrize("way", ["zip", "old", "wrapped", "safetensors"])
def test_a_checkpoint_becomes_masks_of_its_network(
    way: str, net: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, path = net.state_dict(), tmp_path / "net.pt"
    if way == "safetensors":
        path = tmp_path / "net.safetensors"
        del state["tied.weight"]  # safetensors refuses tensors that share memory
        save_file(state, path)
    elif way == "wrapped":
        torch.save({"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=way == "zip")
    masks = crafted(tmp_path, str(path), "--density", "0.5", "--transposed", "up")
    wanted = raiw.Spec.from_model(net)
    assert {name: mask.layer.weight_shape for name, mask in masks.items()} == {
        layer.name: layer.weight_shape for layer in wanted.layers
    }
    raiw.apply(net, masks).check()
    said = capsys.readouterr().err
    assert "left out: embed.weight (an embedding, by its name)" in said
    assert "kept dense: conv (one input a group" in said
    assert "assumed: convolutions have one group" in said


def test_an_onnx_file_becomes_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"table": torch.ones(9, 5), "fc.weight": torch.ones(4, 5)}
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Gemm", ["rows", "fc.weight"], ["y"], transB=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.INT64, [3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", [x], [y], stored)), tmp_path / "n.onnx"
    )
    masks = crafted(tmp_path, str(tmp_path / "n.onnx"), "--density", "0.5")
    assert masks["fc"].edges == 10
    assert "left out: table (2 axes, used by Gather)" in capsys.readouterr().err


def test_a_name_of_the_catalogue_is_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crafted(tmp_path, "digits-cnn").weights == 40_208
    assert crafted(tmp_path, "raiw/vgg16-d8").weights == 546_496
    capsys.readouterr()
    assert run(["spec", "lenet-mnist", "--density", "0.25", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["craft"]["density"] == 0.25
    assert raiw.Spec.parse(document).plan().layers[3].density == 0.25


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.onnx", None, "no file"),
        ("none.pt", None, "no file"),
        ("vgg16-cifar", None, "did you mean 'vgg16-cifar10'"),
        ("x.onnx", b"x", "not an ONNX file"),
        ("x.pt", b"x", "its own code"),
        ("x.pt", b"", "its own code"),
        ("x.safetensors", b"xxxxxxxxxxx", "not a safetensors file"),
        ("model.pt", nn.Sequential(nn.Linear(2, 2)), "its own code"),
        ("list.pt", [torch.ones(2)], "holds a list"),
        ("bare.pt", {"weight": torch.ones(2, 2), "epoch": 1}, "no tensor is called"),
    ],
)
def test_what_cannot_be_read(
    name: str,
    content: object,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif content is not None:
        torch.save(content, name)
    assert run(["spec", name, "-o", "out.yaml"]) in {2, 5}
    assert words in capsys.readouterr().err
    assert not Path("out.yaml").exists()


def test_directions_are_said_of_checkpoints_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spec", "lenet-mnist", "--transposed", "conv1"]) == 2
    assert "--transposed is for checkpoints" in capsys.readouterr().err
