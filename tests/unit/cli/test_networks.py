"""``raiw score`` and ``raiw prune`` on networks of the catalogue."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import raiw
from raiw.applying.counts import count
from raiw.cli.app import run
from raiw.masks import channels
from raiw.nets.registry import build
from raiw.pruning.shrink import shrink


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(build("digits-cnn").state_dict(), path)
    return path


def test_scores_go_straight_into_crafting(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores.safetensors"
    for method in ("gradient", "snip", "magnitude"):
        arguments = ["score", "digits-cnn", "-w", str(weights), "-m", method, "-o", str(scores)]
        assert run([*arguments, "--data", "digits", "--samples", "150", "--force", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["method"] == method
    spec = {"model": "digits-cnn", "craft": {"density": 0.5}}
    masks = raiw.craft(spec, scores)
    assert masks.origin.scored_by["method"] == "magnitude"


def test_a_smaller_network_computes_what_its_channels_say(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, kept = tmp_path / "small.safetensors", tmp_path / "channels.safetensors"
    arguments = [
        "prune",
        "digits-cnn",
        "-w",
        str(weights),
        "-o",
        str(small),
        "--channels",
        str(kept),
    ]
    assert run([*arguments, "-m", "l1_filter", "--option", "channel_sparsity=0.5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dense_weights"] == 40_208
    model = build("digits-cnn").eval()
    model.load_state_dict(load_file(weights))
    smaller = shrink(model, channels.load(kept).kept, torch.zeros(2, 1, 8, 8))
    assert said["weights"] == raiw.Spec.from_model(smaller).plan().weights < 40_208 / 2
    smaller.load_state_dict(load_file(small))
    shape = (1, 8, 8)
    counts = count(smaller, None, shape).flops, count(model, None, shape).flops
    assert (said["flops"], said["dense_flops"]) == counts
    assert said["bytes"] == sum(t.nbytes for t in smaller.state_dict().values())
    assert said["dense_bytes"] > said["bytes"] > 0
    assert min(said["ms"], said["dense_ms"]) > 0
    assert run([*arguments, "--data", "digits", "--samples", "200", "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "digits-cnn", "-w", "{}", "-o", "x"], "needs data"),
        (["score", "digit-cnn", "-w", "{}", "-o", "x", "-m", "magnitude"], "did you mean"),
        (["score", "lenet-mnist", "-w", "{}", "-o", "x", "-m", "magnitude"], "does not hold"),
        (["score", "digits-cnn", "-w", "no", "-o", "x", "-m", "magnitude"], "no file"),
        (["prune", "digits-cnn", "-w", "{}", "-o", "x"], "needs data"),
        (["prune", "digits-cnn", "-w", "{}", "-o", "x", "-m", "afie"], "channel_sparsity"),
        (
            ["prune", "digits-cnn", "-w", "{}", "-o", "x", "-m", "afie", "--option", "a"],
            "NAME=VALUE",
        ),
    ],
)
def test_bad_input(
    arguments: list[str],
    words: str,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([argument.format(weights) for argument in arguments]) in {2, 4, 5}
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
