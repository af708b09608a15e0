"""Importance scores: names, shapes, types, kernels and values."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from raiw.canonical import digest_of_file
from raiw.errors import InvalidImportance, NotFound
from raiw.scores.importance import open_importance, write_scores
from raiw.specs.spec import Spec

LINEAR = {"name": "fc", "kind": "linear", "in_features": 4, "out_features": 3}
CONV = {
    "name": "conv",
    "kind": "conv2d",
    "in_channels": 4,
    "out_channels": 6,
    "kernel_size": [2, 3],
    "groups": 2,
}
TRANSPOSED = CONV | {"kind": "conv_transpose2d"}


def spec_of(layer, method="scores", **craft):
    craft = craft or {"degree": 1}
    return Spec.parse({"layers": [layer], "craft": craft, "importance": {"method": method}})


def scores_of(layer, arrays, method="scores"):
    spec = spec_of(layer, method)
    return open_importance(arrays, spec).scores(spec.plan(scored=True).layers[0])


def random(*shape):
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", ["fc", "fc.weight"])
def test_scores_of_the_graphs_shape_are_used_as_they_are(name):
    assert np.array_equal(scores_of(LINEAR, {name: random(3, 4)}), random(3, 4))


def test_a_kernel_is_reduced_by_sum_of_magnitudes():
    weight = random(6, 2, 2, 3)
    expected = np.abs(weight.astype(np.float64)).sum((2, 3))
    assert np.allclose(scores_of(CONV, {"conv": weight}), expected, rtol=1e-15)


def test_a_transposed_convolution_is_turned_group_by_group():
    weight = random(4, 3, 2, 3)
    scores = scores_of(TRANSPOSED, {"conv": weight})
    for out in range(6):
        for n_in in range(2):
            group, row = divmod(out, 3)
            taps = weight[group * 2 + n_in, row].astype(np.float64)
            assert scores[out, n_in] == pytest.approx(np.abs(taps).sum(), rel=1e-15)


def test_one_forbidden_tap_forbids_the_edge():
    weight = random(6, 2, 2, 3)
    weight[5, 1, 0, 2] = -np.inf
    scores = scores_of(CONV, {"conv": weight})
    assert np.argwhere(np.isneginf(scores)).tolist() == [[5, 1]]


def test_magnitude_takes_absolute_weights():
    assert np.array_equal(scores_of(LINEAR, {"fc": random(3, 4)}, "magnitude"), abs(random(3, 4)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_file_and_its_arrays_have_one_digest_and_one_meaning(dtype, tmp_path):
    spec, arrays = spec_of(LINEAR), {"fc": random(3, 4).astype(dtype)}
    save_file(arrays, tmp_path / "theirs.safetensors")
    digest = write_scores(arrays | {"bias": np.zeros(3)}, spec, tmp_path / "ours.safetensors")
    planned = spec.plan(scored=True).layers[0]
    for source in (arrays, tmp_path / "theirs.safetensors", str(tmp_path / "ours.safetensors")):
        importance = open_importance(source, spec)
        scores = importance.scores(planned)
        assert importance.digest == digest
        assert np.array_equal(scores, arrays["fc"])
        assert scores.dtype == dtype
        assert scores.flags.c_contiguous
        assert scores.flags.aligned
    assert digest == digest_of_file(tmp_path / "ours.safetensors")


def test_torch_tensors_and_bfloat16_files_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    spec, values = spec_of(LINEAR), torch.tensor(random(3, 4)).to(torch.bfloat16)
    save_torch({"fc.weight": values}, tmp_path / "b.safetensors")
    planned = spec.plan(scored=True).layers[0]
    expected = values.float().numpy()
    assert np.array_equal(open_importance({"fc": values}, spec).scores(planned), expected)
    assert np.array_equal(
        open_importance(tmp_path / "b.safetensors", spec).scores(planned), expected
    )
    with_gradient = torch.tensor(random(3, 4), requires_grad=True)
    assert np.array_equal(scores_of(LINEAR, {"fc": with_gradient}), random(3, 4))


def test_an_unaligned_file_is_read(tmp_path):
    text = b'{"fc":{"dtype":"F64","shape":[3,4],"data_offsets":[0,96]}}'
    text += b" " * (3 - len(text) % 8)
    data = random(3, 4).astype(np.float64)
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data.tobytes())
    spec = spec_of(LINEAR)
    scores = open_importance(path, spec).scores(spec.plan(scored=True).layers[0])
    assert np.array_equal(scores, data)
    assert scores.flags.aligned


def test_a_dense_layer_needs_no_scores():
    spec = spec_of(LINEAR, rules=[{"match": "fc", "dense": True}])
    importance = open_importance({}, spec)
    assert importance.scores(spec.plan(scored=True).layers[0]) is None


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"fcc": random(3, 4)}, "did you mean 'fcc'"),
        ({}, "no importance scores for layer 'fc'"),
        ({"fc": random(4, 3)}, r"shape \(4, 3\).*\(3, 4\).*transposed"),
        ({"fc": random(12)}, r"shape \(12,\)"),
        ({"fc": np.ones((3, 4), np.int64)}, "is int64"),
        ({"fc": np.ones((3, 4), np.complex128)}, "is complex128"),
        ({"fc": [[1.0] * 4] * 3}, "are a list"),
    ],
)
def test_scores_that_do_not_fit_are_refused(arrays, said):
    with pytest.raises(InvalidImportance, match=said):
        open_importance(arrays, spec_of(LINEAR))


def test_exchanged_axes_of_a_kernel_are_named():
    layer = CONV | {"groups": 1}
    with pytest.raises(InvalidImportance, match="first two axes are exchanged") as caught:
        open_importance({"conv": random(4, 6, 2, 3)}, spec_of(layer))
    assert caught.value.pointer == "/layers/0"
    assert caught.value.details["layer"] == "conv"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_are_refused_with_their_position(bad, dtype):
    values = np.ones((3, 4), dtype)
    values[1, 2] = values[2, 0] = bad
    with pytest.raises(InvalidImportance, match=r"'fc'.*\[1, 2\]"):
        scores_of(LINEAR, {"fc": values})


def test_a_weight_must_be_finite_but_a_score_may_forbid():
    values = np.full((3, 4), -np.inf, np.float32)
    assert np.isneginf(scores_of(LINEAR, {"fc": values})).all()
    with pytest.raises(InvalidImportance, match="weights must be finite"):
        scores_of(LINEAR, {"fc": values}, "magnitude")


def test_a_kernel_that_sums_to_infinity_is_refused():
    with pytest.raises(InvalidImportance, match="sum to infinity"):
        scores_of(CONV, {"conv": np.full((6, 2, 2, 3), 1e308)})


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(NotFound, match=r"none\.safetensors"):
        open_importance(tmp_path / "none.safetensors", spec_of(LINEAR))


def test_the_web_process_checks_headers_without_numpy():
    code = "import sys, raiw.scores.fit; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
