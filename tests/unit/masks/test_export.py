"""Every form of export gives back the edges."""

import json
import sys
import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.sparse import csr_array

from raiw.canonical import digest_of
from raiw.errors import InvalidInput, MissingExtra, TooLarge
from raiw.forms import FORMS
from raiw.masks import MaskSet, maskset
from raiw.masks import export as module
from raiw.masks.export import export
from raiw.masks.file import encode
from raiw.pipeline import craft

CONV = {"kind": "conv2d", "in_channels": 8, "out_channels": 12, "kernel_size": 3, "groups": 2}
MASKS = craft(
    {
        "layers": [
            {"name": "file", "kind": "linear", "in_features": 10, "out_features": 6},
            CONV | {"name": "conv"},
            CONV | {"name": "up", "kind": "conv_transpose2d"},
        ],
        "craft": {"degree": 2},
    }
)


def channel_edges(mask):
    """Return every edge with its true input channel."""
    rows = mask.shape[0] // mask.groups
    return {(o, i + o // rows * mask.shape[1]) for o, i in np.argwhere(mask.numpy()).tolist()}


def test_bool_multiplies_a_weight(tmp_path):
    export(MASKS, tmp_path / "x", "bool")
    read = load_file(tmp_path / "x")
    for mask in MASKS.values():
        weight = np.ones(mask.layer.weight_shape)
        weight *= read[f"{mask.name}.weight"]
        assert weight.sum() == mask.weights


def test_torch_prune_is_what_pytorch_would_hold(tmp_path):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    export(MASKS, tmp_path / "x", "torch-prune")
    read = load_file(tmp_path / "x")
    modules = {
        "file": torch.nn.Linear(10, 6),
        "conv": torch.nn.Conv2d(8, 12, 3, groups=2),
        "up": torch.nn.ConvTranspose2d(8, 12, 3, groups=2),
    }
    for name, net in modules.items():
        mask = torch.from_numpy(read[f"{name}.weight_mask"])
        prune.custom_from_mask(net, "weight", mask)
        assert int(net.weight_mask.sum()) == MASKS[name].weights
        assert net.weight_mask.dtype == net.weight_orig.dtype


def test_a_transposed_convolution_connects_the_channels_of_its_edges(tmp_path):
    torch = pytest.importorskip("torch")
    export(MASKS, tmp_path / "x", "torch-prune")
    mask = torch.from_numpy(load_file(tmp_path / "x")["up.weight_mask"])
    found = set()
    for channel in range(8):
        image = torch.zeros(1, 8, 1, 1)
        image[0, channel] = 1
        reached = torch.nn.functional.conv_transpose2d(image, mask, groups=2)[0].sum((1, 2))
        found |= {(out, channel) for out in torch.nonzero(reached).flatten().tolist()}
    assert found == channel_edges(MASKS["up"])


def test_torch_loads_the_masks_into_pruned_layers(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch
    from torch.nn.utils import prune

    export(MASKS, tmp_path / "x", "torch-prune")
    net = torch.nn.Module()
    net.file = prune.identity(torch.nn.Linear(10, 6), "weight")
    net.conv = prune.identity(torch.nn.Conv2d(8, 12, 3, groups=2), "weight")
    net.up = prune.identity(torch.nn.ConvTranspose2d(8, 12, 3, groups=2), "weight")
    found = net.load_state_dict(load_torch(tmp_path / "x"), strict=False)
    assert found.unexpected_keys == []
    for name, mask in MASKS.items():
        assert int(net.get_submodule(name).weight_mask.sum()) == mask.weights


def test_npz_and_csr_are_numpy_archives(tmp_path):
    export(MASKS, tmp_path / "x.npz", "npz")
    export(MASKS, tmp_path / "y.npz", "csr")
    whole, parts = np.load(tmp_path / "x.npz"), np.load(tmp_path / "y.npz")
    for name, mask in MASKS.items():
        assert np.array_equal(whole[name], mask.numpy())
        indptr, indices, shape = (parts[f"{name}.{p}"] for p in ("indptr", "indices", "shape"))
        matrix = csr_array((np.ones(len(indices), bool), indices, indptr), shape=shape)
        assert np.array_equal(matrix.toarray(), mask.numpy())
    assert zipfile.ZipFile(tmp_path / "x.npz").testzip() is None


def test_json_lists_channels(tmp_path):
    export(MASKS, tmp_path / "x", "json")
    document = json.loads((tmp_path / "x").read_text())
    assert document["digest"] == MASKS.digest
    for layer in document["layers"]:
        assert {tuple(edge) for edge in layer["edges"]} == channel_edges(MASKS[layer["name"]])
        assert layer["inputs"] == {"file": 10, "conv": 8, "up": 8}[layer["name"]]


def test_graphml_is_one_graph_of_channels(tmp_path):
    export(MASKS, tmp_path / "x", "graphml")
    space = "{http://graphml.graphdrawing.org/xmlns}"
    graph = ET.parse(tmp_path / "x").getroot().find(f"{space}graph")  # noqa: S314 -- our own file
    nodes = {node.get("id") for node in graph.iter(f"{space}node")}
    edges = {(edge.get("target"), edge.get("source")) for edge in graph.iter(f"{space}edge")}
    assert len(nodes) == 16 + 20 + 20
    assert edges == {
        (f"{name}/out/{o}", f"{name}/in/{i}")
        for name, mask in MASKS.items()
        for o, i in channel_edges(mask)
    }
    assert {end for edge in edges for end in edge} <= nodes


def test_networkx_opens_graphml(tmp_path):
    networkx = pytest.importorskip("networkx")
    export(MASKS, tmp_path / "x", "graphml")
    graph = networkx.read_graphml(tmp_path / "x")
    assert graph.number_of_edges() == MASKS.edges
    for name, mask in MASKS.items():
        part = graph.subgraph(v for v, data in graph.nodes(data=True) if data["layer"] == name)
        inputs = [v for v, data in part.nodes(data=True) if data["side"] == "in"]
        assert networkx.is_bipartite(part)
        assert networkx.number_connected_components(part) == mask.facts.components
        assert sum(degree for _, degree in part.degree(inputs)) == mask.edges


def test_pyarrow_opens_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(MASKS, tmp_path / "x", "parquet")
    file = parquet.ParquetFile(tmp_path / "x")
    assert file.schema_arrow.metadata == {b"raiw": MASKS.digest.encode()}
    assert file.num_row_groups == len(MASKS)
    rows = file.read().to_pylist()
    for name, mask in MASKS.items():
        found = [(row["output"], row["input"]) for row in rows if row["layer"] == name]
        assert set(found) == channel_edges(mask)
        assert len(found) == mask.edges


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"raiw\[parquet\]"):
        export(MASKS, tmp_path / "x", "parquet")
    assert list(tmp_path.iterdir()) == []


def test_text_forms_refuse_too_many_edges(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LISTED_EDGES", MASKS.edges - 1)
    for form in ("json", "graphml"):
        with pytest.raises(TooLarge, match="export to csr"):
            export(MASKS, tmp_path / "x", form)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_is_told_the_nearest(tmp_path):
    with pytest.raises(InvalidInput, match="did you mean 'npz'"):
        export(MASKS, tmp_path / "x", "npy")


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_reproducible(form, tmp_path):
    for name in ("a", "b"):
        export(MASKS, tmp_path / name, form)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_encoded_once_however_often_it_is_asked_for(tmp_path, monkeypatch):
    masks, encoded = MaskSet(MASKS.values(), MASKS.origin), []

    def counting(*arguments):
        encoded.append(arguments)
        return encode(*arguments)

    monkeypatch.setattr(maskset, "encode", counting)
    masks.save(tmp_path / "masks.safetensors")
    data = masks.to_bytes()
    assert masks.file_bytes == len(data)
    assert masks.file_sha256 == digest_of(data)
    assert (tmp_path / "masks.safetensors").read_bytes() == data
    assert len(encoded) == 1
