"""Two processes train one network whose masks change: they agree on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import raiw

LIMIT = 240
"""Seconds; a collective that waits for a dead rank would wait for ever."""


def test_two_processes_change_their_masks_alike(tmp_path):
    """One that held other masks would end with other weights, and the first's would be revived."""
    rules = [{"match": name, "dense": True} for name in ("conv1", "head")]
    masks = raiw.craft({"model": "digits-cnn", "craft": {"degree": 4, "rules": rules}})
    masks.save(tmp_path / "masks.safetensors")
    settings = ["epochs=2", "augment=false", "dynamics.method=rigl", "dynamics.every=3"]
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "-m", "raiw", "train", "digits-cnn", "--data", "digits",
            "--masks", str(tmp_path / "masks.safetensors"), "-o", str(tmp_path / "run"),
            *(word for setting in settings for word in ("--set", setting)),
        ],
        capture_output=True, text=True, timeout=LIMIT, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    left = raiw.load(tmp_path / "run" / "masks.safetensors")
    assert report["processes"] == 2
    assert report["mask_violations"] == 0
    assert report["masks"] == left.digest != masks.digest
    assert raiw.verify(left).ok
    assert left.weights == masks.weights
