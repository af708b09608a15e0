"""Masks survive DDP and FSDP2 on two gloo processes, whichever comes first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 120
"""Seconds; a collective that waits for a dead rank would wait for ever."""


@pytest.fixture(scope="module")
def results():
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("ranks.py")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, *command, str(script)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["case"]: line for line in lines}


@pytest.mark.parametrize("when", ["before", "after", "momentum", "double"])
@pytest.mark.parametrize("wrapper", ["ddp", "fsdp2"])
def test_no_weight_is_revived(results, wrapper, when):
    case = results[f"{wrapper} {when}"]
    assert [step["revived"] for step in case["steps"]] == [0, 0, 0, 0]
    assert all(step["live"] > 0 for step in case["steps"])
    assert 0 < case["kept"] <= case["weights"], "a plain model loads the gathered weights"


@pytest.mark.parametrize("when", ["before", "after", "momentum", "double"])
@pytest.mark.parametrize("wrapper", ["ddp", "fsdp2"])
def test_gradients_of_pruned_weights_are_zero(results, wrapper, when):
    """When FSDP2 wraps last, it makes new parameters that only the first step shows."""
    first = 1 if (wrapper, when) == ("fsdp2", "before") else 0
    assert [step["loose"] for step in results[f"{wrapper} {when}"]["steps"]][first:] == [0] * (
        4 - first
    )
