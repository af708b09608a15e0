"""A missing optional dependency is named with the extra that brings it."""

import subprocess
import sys

CODE = """
import sys
sys.modules["torch"] = None  # what Python itself does to forbid an import
import raiw
try:
    raiw.prune
except raiw.RaiwError as error:
    print(error.code, error.message)
"""


def test_without_torch_the_extra_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("missing-extra")
    assert "pip install 'raiw[torch]'" in done.stdout
