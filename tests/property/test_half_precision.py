"""Scores of 16 bits give what the same values in float32 give, and are never widened as a whole."""

import json
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import raiw
from raiw.algorithms import ALGORITHMS
from raiw.crafting.bounds.certificate import certify
from raiw.crafting.randomness import Stream
from raiw.errors import InvalidImportance
from raiw.kernels.cells import Scores
from raiw.kernels.exact import kept_score
from raiw.scores.importance import open_importance
from raiw.specs.spec import Spec

HALVES = [np.float16, ml_dtypes.bfloat16]


@st.composite
def halves(draw: st.DrawFn) -> tuple[Scores, int]:
    """Any bits that are a score, -inf and subnormal numbers among them."""
    out, n_in = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = rng.integers(0, 1 << 16, (out, n_in)).astype(np.uint16)
    scores = bits.view(draw(st.sampled_from(HALVES)))
    wide = scores.astype(np.float32)
    scores[~(wide < np.inf)] = 1
    if not draw(st.booleans()):
        scores[scores.astype(np.float32) == -np.inf] = -1
    return scores, draw(st.integers(0, out * n_in))


@given(halves(), st.sampled_from(["raiw", "balanced", "optimal"]))
@settings(max_examples=150)
def test_every_value_is_read_exactly(instance: tuple[Scores, int], algorithm: str) -> None:
    scores, edges = instance
    results = []
    for values in (scores, scores.astype(np.float32)):
        build = ALGORITHMS[algorithm].load()
        try:
            built = build(values.shape, edges, scores=values, stream=Stream(0, "layer", 0))
        except raiw.RaiwError as error:
            results.append(error.code)
            continue
        certificate = certify(built.graph, values)
        results.append((built.graph.bits.tobytes(), kept_score(built.graph, values), certificate))
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", HALVES)
def test_a_layer_is_crafted_without_a_copy_of_its_scores(dtype: type, tmp_path: Path) -> None:
    """No array of their size is made; what the kernels take for themselves is not seen here."""
    side = 4096  # large enough that what is needed for any layer does not count
    scores = np.random.default_rng(0).standard_normal((side, side), np.float32).astype(dtype)
    path = tmp_path / "scores.safetensors"
    save_file({"fc": scores}, path)
    layer = {"name": "fc", "kind": "linear", "in_features": side, "out_features": side}
    spec = Spec.parse({"layers": [layer], "craft": {"degree": 32, "certify": False}})
    importance = open_importance(path, spec, digest=f"sha256:{0:064}")
    tracemalloc.start()
    raiw.craft(spec, importance)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= scores.nbytes / 4


def file_of(scores: Scores, path: Path, shift: int) -> Path:
    """A safetensors file whose tensor starts ``shift`` bytes past a multiple of eight."""
    dtype = "BF16" if scores.dtype == ml_dtypes.bfloat16 else f"F{8 * scores.itemsize}"
    tensor = {"dtype": dtype, "shape": scores.shape, "data_offsets": [0, scores.nbytes]}
    header = json.dumps({"fc": tensor}).encode()
    header += b" " * (-len(header) % 8 + shift)
    path.write_bytes(len(header).to_bytes(8, "little") + header + scores.tobytes())
    return path


def square(side: int) -> Spec:
    layer = {"name": "fc", "kind": "linear", "in_features": side, "out_features": side}
    return Spec.parse({"layers": [layer], "craft": {"degree": 5}})


@pytest.mark.parametrize("dtype", [*HALVES, np.float32, np.float64])
def test_where_a_tensor_starts_in_its_file_changes_nothing(dtype: type, tmp_path: Path) -> None:
    scores = np.random.default_rng(0).standard_normal((24, 24)).astype(dtype)
    masks = [
        raiw.craft(square(24), file_of(scores, tmp_path / f"{shift}.safetensors", shift))
        for shift in range(8)
    ]
    assert len({(mask.digest, mask["fc"].kept_score) for mask in masks}) == 1


@pytest.mark.parametrize("bits", [0x7C00, 0x7E00, 0xFE00])
@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_no_number_is_refused_wherever_its_tensor_starts(
    bits: int, share: float, tmp_path: Path
) -> None:
    """Infinity and NaN of float16, which as bfloat16 are numbers."""
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((24, 24)).astype(np.float16)
    chosen = rng.random(scores.shape) < share
    chosen[23, 23] = True
    scores.view(np.uint16)[chosen] = bits
    for shift in range(8):
        path = file_of(scores, tmp_path / f"{shift}.safetensors", shift)
        with pytest.raises(InvalidImportance, match=r"'fc' holds (inf|nan) at"):
            raiw.craft(square(24), path)
