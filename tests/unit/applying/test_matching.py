"""Masks under the names of an ONNX exporter, brought to the names of the torch module."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import raiw
from raiw.errors import InvalidInput


class Net(nn.Module):
    """Two convolutions alike with batch norms, four square linear layers, called out of order."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.second = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.first = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 1, groups=2)
        self.v = nn.Linear(4, 4)
        self.q = nn.Linear(4, 4)
        self.k = nn.Linear(4, 4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.up(self.norm(self.second(self.norm(self.first(x)))))
        x = x.mean((2, 3))
        return self.head(self.q(x) + self.k(x) * self.v(x))


TRUE = {
    "onnx::Conv_193": "first", "onnx::Conv_196": "second", "up": "up",
    "val_118": "q", "onnx::MatMul_7": "k", "val_120": "v", "val_121": "head",
}  # fmt: skip


def export(net: Net, path, *, factor=None) -> None:
    """Write what an exporter that folds batch norms and transposes matrices would."""
    factor = torch.linspace(-2, 3, 6).reshape(-1, 1, 1, 1) if factor is None else factor
    stored = {
        "onnx::Conv_193": net.first.weight * factor,
        "onnx::Conv_196": net.second.weight * 2,
        "up.weight": net.up.weight,
        "val_118": net.q.weight.T,
        "onnx::MatMul_7": net.k.weight.T,
        "val_120": net.v.weight.T,
        "val_121": net.head.weight.T,
    }
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(value.detach().numpy()), name)
        for name, value in stored.items()
    ]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "onnx::Conv_193"], ["a"], pads=[1] * 4),
        node("Conv", ["a", "onnx::Conv_196"], ["b"], pads=[1] * 4),
        node("ConvTranspose", ["b", "up.weight"], ["c"], group=2),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("Flatten", ["d"], ["e"]),
        *(
            node("MatMul", ["e", name], [out])
            for name, out in (("val_118", "q"), ("onnx::MatMul_7", "k"), ("val_120", "v"))
        ),
        node("Mul", ["k", "v"], ["kv"]),
        node("Add", ["q", "kv"], ["s"]),
        node("MatMul", ["s", "val_121"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, (1, 6, 8, 8))],
        [value("y", TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    made = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
    path.write_bytes(made.SerializeToString())


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def file(net, tmp_path):
    export(net, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def masks(file):
    rules = [{"match": "val_*", "density": 0.25}, {"match": "val_121", "dense": True}]
    spec = raiw.Spec.from_onnx(file, density=0.5, rules=rules)
    return raiw.craft(spec)


def require_true(found: raiw.MaskSet, masks: raiw.MaskSet) -> None:
    assert [*found] == [TRUE[name] for name in masks]
    for name, mask in masks.items():
        assert np.array_equal(found[TRUE[name]].numpy(), mask.numpy())
    assert raiw.verify(found).ok
    assert raiw.load(found.to_bytes()) == found


def test_values_tell_layers_apart_however_they_are_called(net, file, masks):
    found = raiw.match(masks, net, onnx=file)
    require_true(found, masks)
    handle = raiw.apply(net, found)
    assert handle.layers == tuple(TRUE[name] for name in masks if name != "val_121")
    assert found.spec.plan().layers[3].density == 0.25


def test_calls_tell_layers_apart(net, masks):
    modes = [module.training for module in net.modules()]
    require_true(raiw.match(masks, net, input_size=(6, 8, 8)), masks)
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_nothing_is_guessed(net, masks):
    with pytest.raises(InvalidInput, match=r"that onnx::Conv_193, .*val_120 may be: give the ONNX"):
        raiw.match(masks, net)


def test_a_layer_that_is_alone_needs_no_help(net, masks):
    alone = raiw.craft({**masks.spec.canonical(), "layers": [masks["val_121"].layer.model_dump()],
                        "craft": {"degree": 1}})  # fmt: skip
    assert [*raiw.match(alone, net)] == ["head"]


def test_names_of_the_module_stay(net):
    masks = raiw.craft(raiw.Spec.from_model(net, density=0.5))
    assert raiw.match(masks, net) == masks


def test_another_order_of_calls_is_noticed(net, masks):
    class Other(Net):
        def forward(self, x):
            pooled = self.up(self.first(self.second(x))).mean((2, 3))
            return self.head(self.q(pooled) * self.k(pooled))

    with pytest.raises(InvalidInput, match=r"calls 4 layers .* which are 5, or in another order"):
        raiw.match(masks, Other(), input_size=(6, 8, 8))
    with pytest.raises(InvalidInput, match="does not run on one input of size"):
        raiw.match(masks, net, input_size=(7, 8, 8))


def test_other_weights_and_other_networks_are_noticed(net, file, masks):
    with torch.no_grad():
        net.first.weight[2].mul_(-1)
    require_true(raiw.match(masks, net, onnx=file), masks)
    with torch.no_grad():
        net.first.weight.add_(0.05)
    with pytest.raises(InvalidInput, match=r"'onnx::Conv_193': .* of no layer of its kind"):
        raiw.match(masks, net, onnx=file)
    net.load_state_dict(Net().state_dict())
    net.first.load_state_dict(net.second.state_dict())
    export(net, file)
    with pytest.raises(InvalidInput, match="are those of second, first in the model"):
        raiw.match(masks, net, onnx=file)
    with pytest.raises(InvalidInput, match=r"0 layers for the masks of onnx::Conv_193.*3×3: these"):
        raiw.match(masks, nn.Linear(3, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_names_of_torchs_own_exporter(net, tmp_path):
    """It folds batch norms, transposes matrices, and numbers what it has changed."""
    net.norm.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        net.norm.weight.uniform_(-1, 2)
    path, example = tmp_path / "net.onnx", torch.randn(1, 6, 8, 8)
    net.head.bias = None
    torch.onnx.export(net.eval(), (example,), path, dynamo=False)
    masks = raiw.craft(raiw.Spec.from_onnx(path, density=0.5))
    assert "first" not in masks
    by_values = raiw.match(masks, net, onnx=path)
    assert {*by_values} == {*TRUE.values()}
    assert by_values == raiw.match(masks, net, input_size=(6, 8, 8))
