"""Crafting takes the memory that a plan counts at least: what is refused for it could not run."""

import subprocess
import sys

import pytest

from raiw.algorithms import ALGORITHMS

PROGRAM = """
import resource, sys
import numpy as np
import raiw
from raiw.algorithms import ALGORITHMS
name, side = sys.argv[1], 2048
scores = {"fc": np.random.default_rng(0).random((side, side), np.float32)}
layer = {"name": "fc", "kind": "linear", "in_features": side, "out_features": side}
craft = {"algorithm": name, "density": 0.5, "certify": False}
scores = None if ALGORITHMS[name].scores == "ignored" else scores
raiw.craft({"layers": [layer | {"in_features": 64, "out_features": 64}], "craft": craft},
           scores and {"fc": scores["fc"][:64, :64]})
spec = raiw.Spec.parse({"layers": [layer], "craft": craft})
now = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if "VmData" in line)
least = spec.plan(scored=scores is not None).memory_bytes
resource.setrlimit(resource.RLIMIT_DATA, (now + least, now + least))
try:
    raiw.craft(spec, scores)
except MemoryError:
    print("too little")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux's rules")
@pytest.mark.parametrize("name", [a.name for a in ALGORITHMS.values() if a.cell_bytes])
def test_what_a_plan_counts_is_not_enough_by_itself(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True
    )
    assert done.stdout == "too little\n"
