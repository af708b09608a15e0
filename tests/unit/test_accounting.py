"""Accounts: bytes are those of files really written, operations those of the plan."""

import csv
import json
import struct
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import raiw
from raiw.accounting import FILES, account
from raiw.cli.app import app
from raiw.errors import InvalidInput
from raiw.masks import export as module
from raiw.masks.export import export

CONV = {"kind": "conv2d", "in_channels": 8, "out_channels": 12, "kernel_size": 3, "groups": 2}
MASKS = raiw.craft(
    {
        "layers": [
            {"name": "file", "kind": "linear", "in_features": 100, "out_features": 30},
            CONV | {"name": "conv", "positions": 7},
            CONV | {"name": "up", "kind": "conv_transpose2d"},
            {"name": "head", "kind": "linear", "in_features": 20, "out_features": 3},
        ],
        "craft": {"degree": 2, "rules": [{"match": "head", "dense": True}]},
    }
)
SETS = {"small": MASKS, "vgg16": raiw.craft("raiw/vgg16-d8")}


def written(masks: raiw.MaskSet, file: str, path: Path) -> Path:
    if file == "masks":
        masks.save(path)
    else:
        export(masks, path, file)
    return path


def layers_of(masks: raiw.MaskSet, path: Path) -> Counter[str]:
    """Return the bytes of each layer, found by reading the file."""
    data = path.read_bytes()
    if data[8:10] == b'{"':
        return of_safetensors(data)
    if zipfile.is_zipfile(path):
        return of_archive(masks, path)
    if data.startswith(b"PAR1"):
        return of_parquet(path)
    if data.startswith(b"{"):
        layers = json.loads(data)["layers"]
        sizes = {layer["name"]: len(json.dumps(layer, separators=(",", ":"))) for layer in layers}
        return Counter(sizes)
    found = Counter[str]()
    for line in data.splitlines(keepends=True):
        if line.startswith((b"<node", b"<edge")):
            found[line.split(b'"')[1].split(b"/")[0].decode()] += len(line)
    return found


def of_safetensors(data: bytes) -> Counter[str]:
    found = Counter[str]()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    for tensor, entry in header.items():
        if tensor != "__metadata__":
            start, end = entry["data_offsets"]
            found[tensor.rpartition(".")[0]] += end - start
    return found


def of_archive(masks: raiw.MaskSet, path: Path) -> Counter[str]:
    data, found = path.read_bytes(), Counter[str]()
    for entry in zipfile.ZipFile(path).infolist():
        layer = next(name for name in masks if f"{entry.filename}.".startswith(f"{name}."))
        name_length, extra_length = struct.unpack_from("<HH", data, entry.header_offset + 26)
        found[layer] += 30 + name_length + extra_length + entry.compress_size
        found[layer] += 24  # the sizes and the checksum, which follow what is written in one go
    return found


def of_parquet(path: Path) -> Counter[str]:
    found = Counter[str]()
    metadata = pytest.importorskip("pyarrow.parquet").ParquetFile(path).metadata
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        layer, *_ = columns = [group.column(place) for place in range(group.num_columns)]
        found[layer.statistics.min] += sum(column.total_compressed_size for column in columns)
    return found


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("file", FILES)
def test_the_bytes_of_a_file_and_of_every_layer_in_it(file: str, name: str, tmp_path: Path) -> None:
    masks, found = SETS[name], account(SETS[name])
    path = written(masks, file, tmp_path / "x")
    assert found.bytes[file] == path.stat().st_size
    assert {layer.name: layer.bytes[file] for layer in found.layers} == layers_of(masks, path)


def test_float32_weights_as_a_checkpoint_has_them(tmp_path: Path) -> None:
    found = account(MASKS, [])
    rng = np.random.default_rng(0)
    weights = {
        f"{name}.weight": rng.random(mask.layer.weight_shape).astype("f4")
        for name, mask in MASKS.items()
    }
    save_file(weights, tmp_path / "x")
    (header,) = struct.unpack("<Q", (tmp_path / "x").read_bytes()[:8])
    assert (tmp_path / "x").stat().st_size == 8 + header + found.dense_weight_bytes
    assert found.weight_bytes == sum(
        weights[f"{name}.weight"][
            np.broadcast_to(mask.for_weight(), mask.layer.weight_shape)
        ].nbytes
        for name, mask in MASKS.items()
    )


@pytest.mark.parametrize("name", ["raiw/vgg16-d16", "raiw/resnet50-imagenet"])
def test_weights_and_operations_are_the_plans(name: str) -> None:
    spec = raiw.Spec.load(name)
    found, plan = account(raiw.craft(spec), []), spec.plan()
    dense = raiw.Spec.parse({"layers": spec.layers, "craft": {"density": 1.0}}).plan()
    assert (found.weights, found.flops) == (plan.weights, plan.flops)
    assert (found.dense_weights, found.dense_flops) == (dense.weights, dense.flops)
    assert [layer.flops for layer in found.layers] == [layer.flops for layer in plan.layers]


def test_operations_are_unknown_where_positions_are() -> None:
    found = account(MASKS, [])
    assert found.flops is None
    assert found.dense_flops is None
    # Degree 2: each of the eight inputs has two edges of nine taps, at seven positions.
    assert found.layers[1].flops == 2 * 7 * 9 * 8 * 2
    assert found.layers[1].dense_flops == 2 * 7 * 9 * 8 * 6


def test_a_form_that_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTED_EDGES", MASKS.edges - 1)
    assert [*account(MASKS).bytes] == [file for file in FILES if file not in ("json", "graphml")]


def test_a_form_whose_package_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert [*account(MASKS).bytes] == [file for file in FILES if file != "parquet"]


def test_an_unknown_file_is_told_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'npz'"):
        account(MASKS, ["npy"])


def test_show_bytes(tmp_path: Path) -> None:
    path = written(MASKS, "masks", tmp_path / "masks.safetensors")
    shown = CliRunner().invoke(app, ["show", str(path), "--bytes", "--json"])
    assert json.loads(shown.stdout) == {"digest": MASKS.digest} | account(MASKS).to_json()
    table = CliRunner().invoke(app, ["show", str(path), "--bytes"]).stdout
    rows = csv.DictReader(table.splitlines(), delimiter="\t")
    assert sum(int(row["masks"]) for row in rows) == path.stat().st_size
