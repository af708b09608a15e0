"""Specs read from ONNX files: built by hand, exported by torch, and damaged."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import raiw
from raiw.errors import InvalidNetwork, NotFound, RaiwError, TooLarge
from raiw.nets.registry import build
from raiw.readers.onnx_file import read


def model(nodes, tensors=(), shape=(1, 5), **fields):
    """Return a model of one input ``x``; ``tensors`` are arrays by name."""
    stored = [
        tensor if isinstance(tensor, TensorProto) else numpy_helper.from_array(tensor, name)
        for name, tensor in dict(tensors).items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [x], [y], stored)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, ir_version=9, opset_imports=opsets, **fields)


@pytest.fixture
def save(tmp_path):
    def write(*arguments, **fields):
        path = tmp_path / "network.onnx"
        path.write_bytes(model(*arguments, **fields).SerializeToString())
        return path

    return write


def ones(*shape):
    return np.ones(shape, np.float32)


def node(operator, *inputs, output="y", **attributes):
    return helper.make_node(operator, list(inputs), [output], **attributes)


FC = node("Gemm", "x", "fc.weight", transB=1)
FC_WEIGHT = {"fc.weight": ones(3, 5)}
SCALE = {"scale": np.float32(1).reshape(())}


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        ([FC], FC_WEIGHT),
        ([node("Gemm", "x", "fc.weight")], {"fc.weight": ones(5, 3)}),
        ([node("MatMul", "x", "fc.weight")], {"fc.weight": ones(5, 3)}),
        (
            [
                node("Transpose", "fc.weight", output="turned", perm=[1, 0]),
                node("Identity", "turned", output="same"),
                node("MatMul", "x", "same"),
            ],
            FC_WEIGHT,
        ),
        (
            [
                node(
                    "Constant", output="fc.weight", value=numpy_helper.from_array(ones(3, 5), "w")
                ),
                FC,
            ],
            {},
        ),
        (
            [
                node("DequantizeLinear", "fc.weight", "scale", output="float"),
                node("Gemm", "x", "float", transB=1),
            ],
            {"fc.weight": np.ones((3, 5), np.int8), "scale": np.float32(2)},
        ),
        (
            [node("Transpose", "x", output="columns"), node("MatMul", "fc.weight", "columns")],
            FC_WEIGHT,
        ),
        (
            [
                node("Transpose", "x", output="columns"),
                node("Gemm", "fc.weight", "columns", transA=1),
            ],
            {"fc.weight": ones(5, 3)},
        ),
    ],
)
def test_inputs_and_outputs_are_those_of_the_computation(save, nodes, tensors):
    path = save(nodes, tensors)
    (y,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": ones(1, 5)})
    assert y.size == 3
    (layer,) = raiw.Spec.from_onnx(path, density=0.4).layers
    assert (layer.name, layer.in_features, layer.out_features) == ("fc", 5, 3)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("Conv", torch.nn.functional.conv2d),
        ("ConvTranspose", torch.nn.functional.conv_transpose2d),
    ],
)
def test_convolutions_are_those_of_torch(save, kind, make, groups):
    weight = ones(8, 4 // groups, 3, 2) if kind == "Conv" else ones(4, 8 // groups, 3, 2)
    path = save(
        [node(kind, "x", "conv.weight", group=groups)], {"conv.weight": weight}, (1, 4, 9, 9)
    )
    spec = raiw.Spec.from_onnx(path, density=0.5)
    (layer,) = spec.layers
    y = make(torch.ones(1, 4, 9, 9), torch.from_numpy(weight), groups=groups)
    assert (layer.in_channels, layer.out_channels, layer.groups) == (4, y.shape[1], groups)
    assert layer.weight_shape == weight.shape
    assert layer.positions == (y[0, 0].numel() if kind == "Conv" else 9 * 9)
    if groups == 4:
        (rule,) = spec.craft.rules
        assert rule.dense
        assert "one input a group" in rule.note


def test_a_tied_weight_is_one_layer_at_all_its_positions(save):
    nodes = [
        node("MatMul", "x", "w", output="h"),
        node("Identity", "w", output="again"),
        node("MatMul", "h", "again"),
    ]
    (layer,) = raiw.Spec.from_onnx(save(nodes, {"w": ones(4, 4)}, ("batch", 7, 4))).layers
    assert (layer.name, layer.positions) == ("w", 14)


def test_shapes_that_nobody_knows_give_no_positions(save):
    path = save([node("Conv", "x", "c.weight")], {"c.weight": ones(2, 2, 3)}, (1, 2, "width"))
    (layer,) = raiw.Spec.from_onnx(path).layers
    assert (layer.kind, layer.positions) == ("conv1d", None)


def test_what_is_no_layer_is_told(save):
    nodes = [
        node("Gather", "table", "rows", output="e"),
        node("MatMul", "x", "stack", output="s"),
        node("Strange", "x", "odd", output="o", domain="custom"),
        FC,
    ]
    tensors = {
        "table": ones(9, 5),
        "rows": np.array([1]),
        "stack": ones(2, 5, 3),
        "odd": ones(2, 2),
        **FC_WEIGHT,
    }
    reading = read(save(nodes, tensors))
    assert [layer["name"] for layer in reading.layers] == ["fc"]
    assert reading.skipped == {
        "table": "2 axes, used by Gather",
        "stack": "3 axes, used by MatMul",
        "odd": "2 axes, used by Strange",
    }


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
def test_an_exported_network_is_the_network(tmp_path):
    net, path = build("lenet-mnist").eval(), tmp_path / "lenet.onnx"
    torch.onnx.export(
        net,
        (torch.zeros(3, 1, 28, 28),),
        path,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    spec = raiw.Spec.from_onnx(path, density=0.1)
    assert [layer.positions for layer in spec.layers] == [28 * 28, 10 * 10, 1, 1, 1]
    assert spec == raiw.Spec.from_model(net, input_size=(1, 28, 28), density=0.1)
    masks = raiw.craft(spec)
    raiw.apply(net, masks).check()
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(InvalidNetwork, match="keeps its data in another file"):
        raiw.Spec.from_onnx(path)


def tensor(**fields):
    made = numpy_helper.from_array(ones(3, 5), "fc.weight")
    for name, value in fields.items():
        if name == "dims":
            del made.dims[:]
            made.dims.extend(value)
        elif name == "external":
            made.ClearField("raw_data")
            made.external_data.add(key="location", value="/etc/passwd")
        else:
            setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("nodes", "weight", "words"),
    [
        ([FC], tensor(external=True), "another file"),
        ([FC], tensor(data_location=TensorProto.EXTERNAL), "external_data=False"),
        ([FC], tensor(dims=[1 << 62, 1 << 62]), "needs .* bytes"),
        ([FC], tensor(dims=[3, 6]), "needs 72 bytes or values, but has 60"),
        ([FC], tensor(dims=[-3, -5]), "impossible shape"),
        ([FC], tensor(dims=[]), "needs 4 bytes"),
        ([FC], tensor(data_type=99), "no known type"),
        ([FC], helper.make_tensor("fc.weight", TensorProto.FLOAT, [0, 5], []), "at least 1, not 0"),
        ([node("Conv", "x", "x")], ones(1), "not stored"),
        ([node("Relu", "x")], ones(3, 5), "no Conv, ConvTranspose"),
        ([node("MatMul", "x", "x")], ones(3, 5), "weight stored in it"),
        ([node("Gemm", "fc.weight")], ones(3, 5), "too few"),
        ([helper.make_node("Identity", ["fc.weight"], [])], ones(3, 5), "too few"),
        ([node("Transpose", "fc.weight", perm=[0, 0])], ones(3, 5), "not a permutation"),
        ([node("Conv", "x", "fc.weight", group=0)], ones(3, 5, 2), "0 groups"),
        ([node("Conv", "x", "fc.weight", group=2)], ones(3, 5, 2), "out_channels=3 cannot"),
    ],
)
def test_what_is_refused(save, nodes, weight, words):
    with pytest.raises(RaiwError, match=words) as caught:
        raiw.Spec.from_onnx(save(nodes, {"fc.weight": weight}))
    assert caught.value.code in {"invalid-network", "invalid-spec"}


def test_what_is_no_onnx_file(tmp_path):
    path = tmp_path / "x.onnx"
    with pytest.raises(NotFound):
        raiw.Spec.from_onnx(path)
    for data in (b"", b"PK\x03\x04", b"{}", b"\x08\x09", bytes(100)):
        path.write_bytes(data)
        with pytest.raises(InvalidNetwork, match="not an ONNX file"):
            raiw.Spec.from_onnx(path)
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(TooLarge, match="2147483648 bytes"):
        raiw.Spec.from_onnx(path)


def test_a_shape_that_doubles_itself_costs_nothing(save):
    """Sixty nodes whose values, were they followed, would be a shape of 2^60 numbers."""
    doubling = [node("Concat", f"s{i}", f"s{i}", output=f"s{i + 1}", axis=0) for i in range(60)]
    nodes = [node("Shape", "x", output="s0"), *doubling, node("Reshape", "x", "s60"), FC]
    assert len(raiw.Spec.from_onnx(save(nodes, FC_WEIGHT)).layers) == 1


WHOLE = model(
    [
        node("Conv", "x", "conv.weight", output="h", group=2),
        node("Flatten", "h", output="flat"),
        node("Gemm", "flat", "fc.weight", transB=1),
    ],
    {"conv.weight": ones(4, 2, 3), "fc.weight": ones(3, 12)},
    ("batch", 4, 5),
).SerializeToString()


@given(cut=st.integers(0, len(WHOLE)), at=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_told_never_a_traceback(tmp_path, cut, at, byte):
    path = Path(tmp_path / "damaged.onnx")
    damaged = bytearray(WHOLE)
    damaged[at] = byte
    for data in (WHOLE[:cut], bytes(damaged)):
        path.write_bytes(data)
        try:
            spec = raiw.Spec.from_onnx(path)
        except RaiwError:
            continue
        assert spec.layers


def test_without_onnx_the_extra_is_named(save):
    code = f"""
import sys
sys.modules["onnx"] = sys.modules["google.protobuf"] = None
import raiw
try:
    raiw.Spec.from_onnx({str(save([FC], FC_WEIGHT))!r})
except raiw.RaiwError as error:
    print(error.code, error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("missing-extra")
    assert "pip install 'raiw[onnx]'" in done.stdout
