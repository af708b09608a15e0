"""A source tree whose kernels were never compiled says how to compile them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import raiw


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    unbuilt = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(Path(raiw.__file__).parent, folder / "raiw", ignore=unbuilt)
    return folder


def run(tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_the_library_names_the_command_that_builds_them(tree: Path) -> None:
    done = run(tree, "-c", "import raiw; raiw.craft('raiw/digits-cnn-10')")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("raiw.errors.")]
    assert said.endswith(f"are not compiled: run python -m pip install -e {tree}")


def test_a_command_says_so_in_one_line(tree: Path) -> None:
    done = run(tree, "-m", "raiw", "craft", "raiw/digits-cnn-10", "-o", "masks.safetensors")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install -e {tree}" in done.stderr


def test_what_needs_no_kernel_works_without(tree: Path) -> None:
    done = run(tree, "-m", "raiw", "plan", "raiw/digits-cnn-10", "--json")
    assert done.returncode == 0, done.stderr
