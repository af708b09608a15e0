"""Where results go: pipes, files that hold something else, places that cannot be written."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import raiw
from raiw.cli.app import run
from raiw.cli.writing import filled, target
from raiw.errors import InvalidInput
from raiw.forms import FORMS
from raiw.masks.export import parts

LAYERS = [{"name": "fc", "kind": "linear", "in_features": 16, "out_features": 24}]
SPEC = {"layers": LAYERS, "craft": {"degree": 4}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("RAIW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    save_file({"fc.weight": np.ones((24, 16), np.float32)}, tmp_path / "weights.safetensors")
    raiw.craft(SPEC).save(tmp_path / "masks.safetensors")
    return tmp_path


def test_standard_output_has_one_use(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["craft", "spec.json", "-o", "-", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == "invalid-input"
    assert "both use stdout" in said.err


@pytest.mark.parametrize("form", FORMS)
def test_every_export_goes_into_a_pipe(
    here: Path, form: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["export", "masks.safetensors", "--to", form, "-o", "-"]) == 0
    expected = b"".join(part.read() for part in parts(raiw.load("masks.safetensors"), form))
    if form not in {"npz", "csr"}:  # an archive tells the time
        assert capsysbinary.readouterr().out == expected
    assert not (here / "-").exists()


def test_a_spec_goes_into_a_pipe(here: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    command = ["spec", "weights.safetensors", "--density", "0.5"]
    assert run([*command, "-o", "-"]) == 0
    piped = capsysbinary.readouterr().out
    assert run([*command, "-o", "spec.yaml"]) == 0
    assert (here / "spec.yaml").read_bytes() == piped
    budget = ["budget", "spec.yaml", "-m", "afie", "--layers", "all", "-i", "weights.safetensors"]
    assert run([*budget, "-o", "-"]) == 0
    assert b"layers" in capsysbinary.readouterr().out
    assert not (here / "-").exists()


def test_appending_keeps_what_was_there(here: Path) -> None:
    (here / "log").write_text("before\n")
    for name in ("-", "/dev/stdout"):
        script = f"{sys.executable} -m raiw export masks.safetensors --to json -o {name} >> log"
        subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
    assert (here / "log").read_text().startswith('before\n{"digest"')
    assert (here / "log").read_text().count('{"digest"') == 2


def test_nothing_is_written_over_another_result(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "masks.safetensors").read_bytes()
    assert run(["craft", "spec.json", "-o", "masks.safetensors"]) == 0  # the same: no error
    other = ["craft", "spec.json", "--set", "craft.seed=5", "-o", "masks.safetensors"]
    assert run(other) == 2
    assert "--force" in capsys.readouterr().err
    assert (here / "masks.safetensors").read_bytes() == before
    # The work is not lost.
    expected = raiw.craft(SPEC | {"craft": {"degree": 4, "seed": 5}})
    assert raiw.load("masks.1.safetensors").digest == expected.digest
    assert run([*other, "--force"]) == 0
    assert raiw.load("masks.safetensors").digest == expected.digest


def test_what_one_target_refuses_the_others_still_get(here: Path) -> None:
    (here / "a").write_text("kept")

    def fill() -> None:
        with filled({name: target(name) for name in "ab"}) as paths:
            for path in paths.values():
                path.write_text("new")

    with pytest.raises(InvalidInput):
        fill()
    names = {"a": "kept", "a.1": "new", "b": "new"}
    assert {name: (here / name).read_text() for name in names} == names


def test_a_failure_leaves_nothing_behind(here: Path) -> None:
    before = sorted(here.iterdir())

    def interrupted() -> None:
        with target("new").path() as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(here.iterdir()) == before


def test_a_pipe_takes_it_once_somebody_reads(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe")
    assert run(["craft", "spec.json", "-o", "pipe"]) == 2
    assert "nobody reads" in capsys.readouterr().err
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE)
    opened = threading.Event()

    def write() -> None:
        while run(["craft", "spec.json", "-o", "pipe", "-q"]) == 2:  # until cat has opened it
            opened.wait(0.05)

    write()
    assert reader.communicate(timeout=300)[0] == raiw.craft(SPEC).to_bytes()
    assert run(["craft", "spec.json", "-o", os.devnull]) == 0


def test_a_full_disk_behind_standard_output_is_told(here: Path) -> None:
    script = f"{sys.executable} -m raiw craft spec.json -o - > /dev/full"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "no room" in done.stderr
    assert "Traceback" not in done.stderr
