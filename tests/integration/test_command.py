"""The command and a server: one mistake, one exit status; short ids; tokens; detached jobs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import raiw
from raiw.cli.app import run
from raiw.nets.registry import build
from tests.integration.stack import Stack
from tests.integration.test_tasks import SQLITE, THREADS

PRESET = "raiw/digits-cnn-10"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("RAIW_URL", raising=False)
    torch.manual_seed(0)
    save_file(build("digits-cnn").state_dict(), "weights.safetensors")
    return tmp_path


@SQLITE
def test_a_mistake_has_one_status_wherever_it_is_found(
    idle_stack: Stack, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idle_stack.start_worker(**THREADS)
    score = ["score", "digits-cnn", "-w", "weights.safetensors", "-o", "s.safetensors"]
    mistakes = {
        "unknown network": (5, ["train", "digits-cn", "--data", "digits", "-o", "run"]),
        "unknown data": (5, [*score, "--data", "nosuch"]),
        "unknown method": (2, [*score, "--data", "digits", "-m", "gradiant"]),
        "bad spec": (2, ["craft", PRESET, "--set", "craft.degree=-1"]),
        "impossible spec": (2, ["craft", PRESET, "--set", "craft.degree=9999"]),
        "unknown spec": (5, ["craft", "digits-cn"]),
        "no file": (5, ["craft", PRESET, "-i", "none.safetensors"]),
        "no masks": (5, ["show", "none.safetensors"]),
    }
    for name, (status, command) in mistakes.items():
        statuses = [run([*command]), run([*command, "--server", idle_stack.url])]
        assert statuses == [status, status], (name, capsys.readouterr().err)
        assert "error:" in capsys.readouterr().err
    nowhere = ["--server", "http://127.0.0.1:1"]
    assert run(["craft", PRESET, *nowhere]) == 7
    assert run(["doctor", "-q", *nowhere]) == 7
    assert run(["jobs", "get", "job_123456", "--server", idle_stack.url]) == 5
    assert run(["doctor", "--server", idle_stack.url]) == 0


@SQLITE
def test_a_detached_job_is_named_and_every_verb_takes_the_beginning_of_its_name(
    idle_stack: Stack, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ["--server", idle_stack.url]
    craft = ["craft", PRESET, "--set", "craft.seed=77", *server]
    assert run([*craft, "--detach"]) == 0
    job = capsys.readouterr().out.strip()
    assert job.startswith("job_")
    assert run([*craft, "--timeout", "3"]) == 8
    assert job in capsys.readouterr().err
    idle_stack.start_worker(**THREADS)
    short = job[:12]
    assert run(["jobs", "wait", short, *server]) == 0
    digest = capsys.readouterr().out.strip()
    assert run([*craft, "--detach"]) == 0  # stored by now
    assert capsys.readouterr().out.strip() == job
    assert run([*craft, "--set", "gates.max_weights=1", "--detach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] is None  # nobody has looked yet
    assert run(["jobs", "get", short, "--json", *server]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == job
    assert run(["jobs", "watch", short, *server]) == 0
    assert run(["jobs", "cancel", short, *server]) == 2  # it has ended
    capsys.readouterr()
    assert run(["pull", short, "-o", "masks.safetensors", *server]) == 0
    assert raiw.load("masks.safetensors").digest == digest
    piped = subprocess.run(
        [sys.executable, "-m", "raiw", "pull", digest, "-o", "-", *server],
        capture_output=True,
        check=True,
    )
    assert piped.stdout == Path("masks.safetensors").read_bytes()
    capsys.readouterr()
    assert run(["jobs", "ls", *server]) == 0
    head, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {len(row) for row in rows} == {len(head)}
    assert job in [row[0] for row in rows]


@SQLITE
def test_masks_from_a_server_are_kept(
    idle_stack: Stack, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idle_stack.start_worker(**THREADS)
    server = ["--server", idle_stack.url]
    assert run(["craft", PRESET, *server]) == 0
    digest = capsys.readouterr().out.strip()
    assert run(["show", digest, "-q", *server]) == 0
    assert run(["show", digest, "-q", "--server", "http://127.0.0.1:1"]) == 0  # not asked again
    (kept,) = (here / "XDG_CACHE_HOME").rglob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert run(["show", digest, "-q", *server]) == 0  # what is damaged is fetched anew
    assert raiw.load(kept).digest == digest
    assert run(["cache", "--clear"]) == 0
    assert not kept.exists()
    capsys.readouterr()
    assert run(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["masks"] == 0
