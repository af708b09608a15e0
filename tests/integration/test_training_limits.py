"""A training that runs out of disk or memory, in a process whose limits are real."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file as save_numpy


def _limited(
    limit: int, size: int | str, folder: Path, code: str, *options: str
) -> subprocess.CompletedProcess[str]:
    # The limit is set when torch is there: its libraries are larger than the test's.
    program = (
        "import resource, signal, sys, torch, raiw\n"
        "from raiw.training.train import train\n"
        "from raiw.cli.app import run\n"
        "from torch import nn\n"
        "torch.set_num_threads(1)\n"
        f"{code}\n"
        f"resource.setrlimit({limit}, ({size}, {size}))\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    command = ["train", "digits-cnn", "-o", str(folder), *options, "--set", "epochs=2"]
    return subprocess.run(
        [sys.executable, "-c", program, *command, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path):
    first = "train('digits-cnn', None, 'digits', recipe={'epochs': 1})"
    done = _limited(resource.RLIMIT_FSIZE, 50_000, tmp_path / "run", first, "--data", "digits")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "disk-full"
    assert list((tmp_path / "run").iterdir()) == []


def test_too_little_memory_is_told(tmp_path):
    """A batch of 60 000 images needs 245 MB for its first activations alone."""
    images = np.zeros((60_000, 1, 8, 8), np.uint8)
    labels = np.arange(60_000, dtype=np.int64) % 10
    data = {"train_images": images, "train_labels": labels}
    data |= {"test_images": images[:10], "test_labels": labels[:10]}
    save_numpy(data, tmp_path / "many.safetensors")
    warm = "train('digits-cnn', None, 'digits', recipe={'epochs': 1, 'batch': 64})"
    used = "int(open('/proc/self/statm').read().split()[5]) * resource.getpagesize()"
    code = f"{warm}\nsize = {used} + (400 << 20)"
    done = _limited(
        resource.RLIMIT_DATA, "size", tmp_path / "run", code,
        "--data", "many", "--data-dir", str(tmp_path), "--set", "batch=60000",
        "--set", "augment=false",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "out-of-memory"
