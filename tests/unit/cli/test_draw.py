"""``raiw draw`` by every kind of terminal, pipe and file."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

import raiw

LAYERS = [
    {"name": "model.fc1", "kind": "linear", "in_features": 32, "out_features": 48},
    {"name": "model.fc2", "kind": "linear", "in_features": 48, "out_features": 8},
    {"name": "depthwise", "kind": "conv2d", "in_channels": 8, "out_channels": 8, "kernel_size": 3}
    | {"groups": 8},
]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("draw") / "masks.safetensors"
    raiw.craft({"name": "small & <b>", "layers": LAYERS, "craft": {"density": 0.5}}).save(path)
    return path


def draw(masks: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "raiw", "draw", masks.name, *arguments],
        cwd=masks.parent,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_a_layer_is_drawn_by_characters_in_a_pipe(masks: Path) -> None:
    done = draw(masks, "--layer", "model.fc1")
    first, *rows = done.stdout.decode().splitlines()
    assert first == "model.fc1: 48 outputs down, 32 inputs across, 768 edges (50.00 %)"
    assert set("".join(rows)) <= set(" ░▒▓█")
    assert len({len(row) for row in rows}) == 1
    assert "\x1b" not in done.stdout.decode()
    assert done.returncode == 0


def test_a_terminal_of_colours_gets_half_blocks(masks: Path) -> None:
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    shown = draw(masks, "--layer", "model.fc1", **colours).stdout.decode()
    assert "▀" in shown
    assert "\x1b[38;2;" in shown
    plain = draw(masks, "--layer", "model.fc1", **colours, NO_COLOR="1").stdout.decode()
    assert "▀" not in plain
    assert "\x1b" not in plain


def test_an_old_code_page_gets_plain_characters(masks: Path) -> None:
    done = draw(masks, PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [row for row in done.stdout.decode("cp1252").splitlines() if "across" not in row]
    assert set("".join(rows)) <= set(" .:-=+*#%@")
    assert "depthwise: 8 outputs down" in done.stdout.decode("cp1252")


def test_files_are_written_by_their_ending(masks: Path) -> None:
    assert draw(masks, "-o", "all.svg").returncode == 0
    text = (masks.parent / "all.svg").read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 -- we wrote it
    assert "small & <b>" in " ".join(root.itertext())
    assert draw(masks, "--layer", "model.fc1", "-o", "one.png", "--dark").returncode == 0
    with Image.open(masks.parent / "one.png") as picture:
        assert picture.getpixel((0, 0)) == (0x15, 0x18, 0x1C)
    assert draw(masks, "-o", "-").stdout.decode() == text


def test_a_glob_chooses_layers(masks: Path) -> None:
    done = draw(masks, "--layer", "model.*")
    assert re.findall(r"^(\S+): \d+ outputs", done.stdout.decode(), re.MULTILINE) == [
        "model.fc1",
        "model.fc2",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--layer", "modelfc1"], 5, "did you mean 'model.fc1'?"),
        (["-o", "x.jpg"], 2, "end it in .svg or .png"),
        (["-o", "nosuch/x.svg"], 5, "no folder"),
    ],
)
def test_mistakes_name_the_remedy(masks: Path, arguments, status, words) -> None:
    done = draw(masks, *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert words in done.stderr.decode()
    assert not list(masks.parent.glob("x.*"))
