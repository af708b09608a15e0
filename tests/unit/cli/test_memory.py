"""What the command needs of memory."""

import json
import shutil
import subprocess
import sys

import pytest

import raiw

LAYERS = [
    {"name": f"fc{n}", "kind": "linear", "in_features": 8192, "out_features": 8192}
    for n in range(12)
]
SPEC = {"layers": LAYERS, "craft": {"degree": 32}}
LIMITED = """
import resource, sys
import raiw
from raiw.cli import main
raiw.craft({"layers": [%r], "craft": {"degree": 32}})
used = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))
limit = int(used) * 1024 + (64 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_a_mask_file_is_written_with_less_memory_than_its_masks_have(tmp_path):
    """The masks have 96 MiB; the process may take 64 more than it took for one of them."""
    spec, file = tmp_path / "spec.json", tmp_path / "masks.safetensors"
    spec.write_text(json.dumps(SPEC))
    command = ["craft", str(spec), "-o", str(file), "--threads", "1", "--json"]
    script = LIMITED % LAYERS[0]
    ran = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert raiw.load(file).file_sha256 == raiw.craft(SPEC).file_sha256
    assert {path.name for path in tmp_path.iterdir()} == {"spec.json", "masks.safetensors"}


def test_a_disk_with_too_little_room_is_refused_before_anything_is_crafted(tmp_path):
    cells = 8 * shutil.disk_usage(tmp_path).free
    spec, file = tmp_path / "spec.json", tmp_path / "masks.safetensors"
    side = 1 << 16
    layers = [{"name": f"fc{n}", "kind": "linear", "in_features": side, "out_features": side}
              for n in range(cells // 2 // side**2 + 1)]  # fmt: skip
    spec.write_text(json.dumps({"layers": layers, "craft": {"degree": 8}}))
    ran = subprocess.run(
        [sys.executable, "-m", "raiw", "craft", str(spec), "-o", str(file), "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "bytes are needed in" in ran.stderr
    assert ran.stderr.count("\n") <= 2
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="a file without a name needs an open handle")
def test_a_killed_crafting_leaves_nothing_in_the_folder(tmp_path):
    """It is killed when the first layers, of 8 MiB each, lie in the nameless file there."""
    folder = tmp_path / "out"
    folder.mkdir()
    spec = tmp_path / "spec.json"
    spec.write_text(
        json.dumps({**SPEC, "layers": [LAYERS[0] | {"name": f"l{n}"} for n in range(9)]})
    )
    script = f"""
import os, signal, sys
from raiw.cli import main
from raiw.masks.spool import Spool
kept = []
own = Spool.keep
def keep(self, mask):
    kept.append(own(self, mask))
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept[-1]
Spool.keep = keep
sys.argv[1:] = ["craft", {str(spec)!r}, "-o", {str(folder / "masks")!r}, "--threads", "1"]
main()
"""
    ran = subprocess.run([sys.executable, "-c", script], check=False)
    assert ran.returncode == -9
    assert not list(folder.iterdir())
