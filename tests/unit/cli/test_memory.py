"""What the command needs of memory."""

import json
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
