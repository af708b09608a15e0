"""Compact networks as ONNX files, in the runtimes that read them."""

import pytest
import torch

from raiw.compacting.compact import forms_of
from raiw.compacting.onnx_file import export_onnx
from raiw.errors import InvalidInput
from tests.unit.compacting.small_networks import INPUTS, MASKS, assert_near, masked


def test_an_onnx_file_has_standard_operators_and_the_same_outputs(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    small = export_onnx(network.eval(), MASKS, INPUTS, tmp_path / "small.onnx")
    assert set(forms_of(small).values()) == {"grouped"}
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    name = session.get_inputs()[0].name
    for batch in (INPUTS, INPUTS[:1]):
        (got,) = session.run(None, {name: batch.numpy()})
        with torch.no_grad():
            assert_near(torch.from_numpy(got), masked(network)(batch))
    dense = sum(p.numel() * 4 for p in network.parameters())
    assert (tmp_path / "small.onnx").stat().st_size < 0.75 * dense
    with pytest.raises(InvalidInput, match="no operator for the form 'csr'"):
        export_onnx(network, MASKS, INPUTS, tmp_path / "not.onnx", forms=["csr"])


def test_an_onnx_file_runs_in_openvino(network, tmp_path):
    openvino = pytest.importorskip("openvino")
    export_onnx(network.eval(), MASKS, INPUTS, tmp_path / "small.onnx")
    run = openvino.compile_model(
        tmp_path / "small.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for batch in (INPUTS, INPUTS[:1]):
        got = torch.from_numpy(run(batch.numpy())[0].copy())
        with torch.no_grad():
            torch.testing.assert_close(got, masked(network)(batch), rtol=1e-5, atol=1e-5)
