"""``raiw speed`` and ``raiw compact``."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import raiw
from raiw.cli.app import run
from raiw.nets.registry import build

CRAFT = {
    "density": 0.2,
    "group_outputs": 8,
    "rules": [
        {"match": "conv1", "dense": True},
        {"match": "head", "dense": True, "group_outputs": 1},
    ],
}
QUICK = ["--seconds", "0", "--threads", "1"]


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("masks") / "masks.safetensors"
    raiw.craft({"model": "digits-cnn", "craft": CRAFT}).save(path)
    return str(path)


def test_speed_is_measured_for_every_layer_batch_and_number_of_threads(
    masks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    had = torch.get_num_threads()
    arguments = ["speed", "digits-cnn", masks, "--batch", "1,3", "--json"]
    assert run([*arguments, "--seconds", "0", "--threads", "1,2"]) == 0
    assert torch.get_num_threads() == had
    said = json.loads(capsys.readouterr().out)
    assert said["masks"] == raiw.load(masks).digest
    assert [(each["batch"], each["threads"]) for each in said["runs"]] == [
        (1, 1), (3, 1), (1, 2), (3, 2),
    ]  # fmt: skip
    for each in said["runs"]:
        assert [layer["name"] for layer in each["layers"]] == list(raiw.load(masks))
        assert each["speedup"] == pytest.approx(each["dense_ms"] / each["compact_ms"])
        for layer in each["layers"]:
            assert {"condensed", "dense"} <= set(layer["ms"]) == set(layer["bytes"])
            assert layer["choice"] in layer["ms"]
            gain = layer["ms"]["dense"] / layer["ms"][layer["choice"]]
            assert layer["speedup"] == pytest.approx(gain)
            assert layer["choice"] == "dense" or gain > 1
        sizes = {layer["name"]: layer["bytes"] for layer in each["layers"]}
        assert sizes["conv3"]["condensed"] < sizes["conv3"]["dense"] / 3
        assert each["dense_bytes"] >= sum(size["dense"] for size in sizes.values())


def test_people_get_a_table_and_scripts_a_number(
    masks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["speed", "digits-cnn", masks, "--batch", "2", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "batch 2, threads 1" in shown
    assert "the network: dense" in shown
    assert max(len(line) for line in shown.splitlines() if "conv" in line) <= 80
    assert run(["speed", "digits-cnn", masks, "--batch", "2", "-q", *QUICK]) == 0
    assert float(capsys.readouterr().out) > 0


def test_networks_of_ones_own_are_measured(
    masks: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    source = "from raiw.nets.registry import build\nmake = lambda: build('digits-cnn')\n"
    (tmp_path / "own_network.py").write_text(source)
    arguments = ["speed", "own_network:make", masks, "--batch", "1", *QUICK]
    assert run([*arguments, "--input", "1,8,8", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"][0]["layers"]) == 5
    assert run(arguments) == 2
    assert "give --input" in capsys.readouterr().err
    assert run(["speed", "own_network:build_it", masks, "--input", "1,8,8", *QUICK]) == 5
    assert "no function 'build_it'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--batch", "0"], 2, "--batch '0': give whole numbers of at least 1"),
        (["--batch", "1,x"], 2, "--batch '1,x'"),
        (["--input", "3,8,8"], 2, "cannot run on inputs of shape (1, 3, 8, 8)"),
    ],
)
def test_what_cannot_be_measured_is_said(
    masks: str, options: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["speed", "digits-cnn", masks, "--batch", "1", *QUICK, *options]) == status
    assert words in capsys.readouterr().err


def test_a_compact_network_is_written_as_onnx(
    masks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(3)
    network, output = build("digits-cnn").eval(), tmp_path / "small.onnx"
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    arguments = ["-w", str(tmp_path / "weights.safetensors"), "-o", str(output), "--json"]
    assert run(["compact", "digits-cnn", masks, *arguments]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["forms"] == {"conv2": "grouped", "conv3": "grouped", "fc": "grouped"}
    assert said["bytes"] == output.stat().st_size
    raiw.apply(network, masks)
    images = torch.randn(5, 1, 8, 8)
    session = onnxruntime.InferenceSession(output)
    (got,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(got), network(images), rtol=1e-5, atol=1e-5)
