"""The wheel is complete: installed where no compiler and no source is, it crafts and serves."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
DEPENDENCIES = Path(typer.__file__).parents[1]
"""Where this environment's packages are; the source of raiw is elsewhere."""


def run(*command: str | Path, folder: Path, path: Path) -> str:
    """Run where PATH holds nothing but one folder, and return what was printed."""
    surroundings = {"PATH": str(path), "HOME": str(folder), "CC": "none", "CXX": "none"}
    done = subprocess.run(
        command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source],
        env=os.environ | {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_RAIW": "1.2.3", "CFLAGS": "-O1"},
        capture_output=True,
        check=True,
    )
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of an environment that has the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    programs = folder / "bin"
    run(
        programs / "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        folder=folder,
        path=programs,
    )
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(str(DEPENDENCIES))
    return programs


def test_one_wheel_serves_every_python_from_the_oldest_on(wheel: Path) -> None:
    assert wheel.name.startswith("raiw-1.2.3-cp311-abi3-")


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in ("raiw", "service", "worker", "migrations"):
        tracked = subprocess.run(
            ["git", "ls-files", package], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        needed = {name for name in tracked if "/native/" not in name and (ROOT / name).is_file()}
        assert needed <= held


def test_the_wheel_crafts_verifies_and_knows_its_version(installed: Path, tmp_path: Path) -> None:
    raiw = installed / "raiw"
    where = run(
        installed / "python",
        "-c",
        "import raiw; print(raiw.__file__)",
        folder=tmp_path,
        path=installed,
    )
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run(raiw, "--version", folder=tmp_path, path=installed) == "raiw 1.2.3\n"
    run(
        raiw,
        "craft",
        "raiw/digits-cnn-10",
        "-o",
        "masks.safetensors",
        folder=tmp_path,
        path=installed,
    )
    run(raiw, "verify", "masks.safetensors", folder=tmp_path, path=installed)


def test_the_wheel_holds_the_whole_service(installed: Path, tmp_path: Path) -> None:
    told = run(installed / "raiw", "demo", folder=tmp_path, path=installed)
    assert "verif" in told
