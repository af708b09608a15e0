"""``raiw study --train`` on real processes: repeated, killed, and started again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raiw.masks.channels import ChannelMasks

COMMAND = [
    *(sys.executable, "-m", "raiw", "study", "raiw/digits-cnn-10", "--train", "--json"),
    *("--methods", "regular,raiw,nm", "--seeds", "2", "--jobs", "2"),
    *("--train-set", "epochs=2", "--train-set", "batch=64", "--train-set", "augment=false"),
]
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options, "-o", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=PLAIN,
        start_new_session=True,
    )


def finish(folder: Path, *options: str) -> dict:
    process = start(folder, *options)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(out) == json.loads((folder / "accuracy.json").read_text())
    return json.loads(out)


def kept(folder: Path) -> dict[Path, int]:
    """When each file of the runs was written."""
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in files}


def wait_for(folder: Path, pattern: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.rglob(pattern))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    finish(folder)
    return folder


def test_a_finished_study_is_read_and_only_what_failed_is_tried_again(undisturbed: Path) -> None:
    before = kept(undisturbed)
    names = [path.name for path in before]
    assert names.count("report.json") == 6
    assert names.count("masks.safetensors") == 4
    assert names.count("gradient-1.scores.safetensors") == 2
    assert "checkpoint.safetensors" not in names
    study = finish(undisturbed)
    assert kept(undisturbed) == before
    failed = [(run["method"], run["seed"], run["error"]) for run in study["runs"] if run["error"]]
    assert failed == [("nm", 0, "impossible-target"), ("nm", 1, "impossible-target")]
    assert [row["method"] for row in study["rows"]] == ["regular", "raiw", "dense"]
    assert {row["runs"] for row in study["rows"]} == {2}
    assert [row["weights"] for row in study["rows"]] == [4726, 4726, 40208]


def test_a_fixed_graph_is_trained_with_every_seed(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed, tmp_path / "study")
    study = finish(tmp_path / "study", "--fixed-graph")
    masks = {(run["method"], run["seed"]): run["masks"] for run in study["runs"]}
    assert masks["raiw", 0] is not None
    assert masks["raiw", 0] == masks["raiw", 1]
    assert masks["regular", 0] != masks["regular", 1]
    added = kept(tmp_path / "study").keys() - kept(undisturbed).keys()
    assert [path.name for path in added].count("report.json") == 1
    assert "Methods with scores train one graph" in (tmp_path / "study/accuracy.md").read_text()


def test_a_study_that_is_stopped_and_killed_ends_like_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    stopped = start(tmp_path)
    wait_for(tmp_path, "checkpoint.safetensors", 1)
    stopped.send_signal(signal.SIGINT)  # to the study alone: its processes end with it
    _, errors = stopped.communicate(timeout=240)
    assert stopped.returncode == 130
    assert "Traceback" not in errors
    wait_until_gone(stopped.pid)
    killed = start(tmp_path)
    wait_for(tmp_path, "report.json", 3)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=240)
    before = {name: at for name, at in kept(tmp_path).items() if name.name == "report.json"}
    assert len(before) < 6
    finish(tmp_path)
    assert before.items() <= kept(tmp_path).items()
    for name in ("accuracy.json", "accuracy.csv", "accuracy.md", "accuracy.svg"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


def wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)
        pytest.fail(f"processes of group {group} live on")


OWN = """
from torch import nn

def small(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 10)
    )
"""


def test_any_network_is_studied_whole_or_pruned(tmp_path: Path) -> None:
    """It is named in place of the spec; the channels that it has lost come with it."""
    (tmp_path / "mine.py").write_text(OWN)
    channels = tmp_path / "channels.safetensors"
    ChannelMasks({"0": np.arange(6) < 5}, "l1_filter", {}, {}).save(channels)
    command = [
        *(sys.executable, "-m", "raiw", "study", "mine:small", "--train", "--json", "-o", "out"),
        *("--argument", "width=6", "--methods", "regular,raiw", "--seeds", "1"),
        *("--densities", "0.25", "--set", "craft.keep_first=1", "--train-set", "epochs=1"),
        *("--train-set", "batch=64", "--train-set", "augment=false"),
    ]

    def studied(*more: str) -> dict[str, Any]:
        done = subprocess.run(
            [*command, *more], capture_output=True, text=True, env=PLAIN, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    whole, pruned = studied(), studied("--pruned", str(channels))
    for study, width in ((whole, 6), (pruned, 5)):
        assert study["network"] == "mine:small"
        weights = {row["method"]: row["weights"] for row in study["rows"]}
        sparse = 9 * width + 36 * width * 10 // 4
        assert weights == {"regular": sparse, "raiw": sparse, "dense": 9 * width + 360 * width}
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 6
    refused = subprocess.run(
        [*command, "--argument", "width=[]"], capture_output=True, text=True, env=PLAIN,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "cannot be built" in json.loads(refused.stdout)["error"]["message"]
