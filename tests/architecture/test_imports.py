"""What may import what: statically by contract, and for real in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def test_the_web_process_computes_nothing() -> None:
    loaded = loaded_by("import service.api.app")
    assert "raiw.scores.fit" in loaded  # the headers of uploads are checked all the same
    assert not loaded & {"torch", "scipy", "numpy"}


def test_the_library_is_imported_in_no_time() -> None:
    assert not loaded_by("import raiw") & {"numpy", "scipy", "httpx", "pydantic", "torch"}


def test_help_loads_nothing_that_computes_or_connects() -> None:
    loaded = loaded_by("from raiw.cli.app import run; run(['--help'])")
    computing = {"torch", "numpy", "scipy", "httpx", "sqlalchemy", "celery", "keyring"}
    assert not loaded & {*computing, "pydantic", "yaml", "rich"}
    loaded = loaded_by("from raiw.cli.app import run; run(['plan', 'raiw/vgg16-d16'])")
    assert not loaded & {*computing, "raiw.cli.studying"}


@pytest.mark.parametrize(
    ("statement", "module"),
    [("import raiw.crafting.algorithms.raiw", "numpy"), ("import httpx", "httpx")],
)
def test_the_look_into_an_interpreter_can_fail(statement: str, module: str) -> None:
    assert module in loaded_by(statement)
