"""The command as a pipeline meets it: exit status, stdout for results, stderr for the rest."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.main import get_command, get_group

import raiw
from raiw.cli.app import app
from raiw.cli.app import run as command
from raiw.cli.commands import MODULES
from raiw.nets.registry import build

LAYERS = [
    {"name": "fc1", "kind": "linear", "in_features": 16, "out_features": 24},
    {"name": "fc2", "kind": "linear", "in_features": 24, "out_features": 8},
]
SPEC = {"name": "small", "layers": LAYERS, "craft": {"degree": 4}}
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}
ENVIRONMENT |= {"XDG_CONFIG_HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "junk").write_bytes(b"junk")
    starved = {"layers": LAYERS, "craft": {"parameters": 3}}
    (tmp_path / "starved.json").write_text(json.dumps(starved))
    network = {"layers": LAYERS, "craft": {"density": 0.2}}
    (tmp_path / "network.yaml").write_text(json.dumps(network))
    rng = np.random.default_rng(3)
    scores = {"fc1": rng.random((24, 16), np.float32), "fc2": rng.random((8, 24), np.float32)}
    for name in ("scores", "magnitude"):
        save_file(scores, tmp_path / f"{name}.safetensors")
    digits = {name: value.numpy() for name, value in build("digits-cnn").state_dict().items()}
    save_file(digits, tmp_path / "weights.safetensors")
    raiw.craft(SPEC).save(tmp_path / "masks.safetensors")
    raiw.craft(SPEC | {"craft": {"degree": 4, "seed": 1}}).save(tmp_path / "other.safetensors")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, as a process of its own would take half a second to start."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        status = command([*arguments])
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "raiw", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_craft_prints_the_digest_and_writes_the_file(folder: Path) -> None:
    done = start(folder, "craft", "spec.json", "-o", "new.safetensors")
    expected = raiw.craft(SPEC)
    assert (done.returncode, done.stdout) == (0, expected.digest + "\n")
    assert (folder / "new.safetensors").read_bytes() == expected.to_bytes()


def test_scores_choose_the_edges(folder: Path) -> None:
    done = run(folder, "craft", "spec.json", "-i", "scores.safetensors", "-q")
    assert done.stdout.strip() == raiw.craft(SPEC, folder / "scores.safetensors").digest
    assert done.stderr == ""


def test_a_spec_and_masks_go_through_pipes(folder: Path) -> None:
    with (folder / "spec.json").open() as spec:
        crafted = subprocess.run(
            [sys.executable, "-m", "raiw", "craft", "-", "-o", "-"],
            stdin=spec,
            env=ENVIRONMENT,
            capture_output=True,
            check=True,
        )
    assert crafted.stdout == raiw.craft(SPEC).to_bytes()


def test_json_is_one_document_with_the_facts(folder: Path) -> None:
    plan = json.loads(run(folder, "plan", "spec.json", "--json").stdout)
    assert plan["edges"] == 16 * 4 + 24 * 4
    assert [layer["out_degree"] for layer in plan["layers"]] == [[2, 3], [12, 12]]
    crafted = json.loads(run(folder, "craft", "spec.json", "--json").stdout)
    assert crafted["digest"] == raiw.craft(SPEC).digest
    assert crafted["content_key"] == plan["content_key"]
    shown = json.loads(run(folder, "show", "masks.safetensors", "--json").stdout)
    assert shown["statistics"]["layers"]["fc2"]["entropy"] > 3


def test_an_option_for_another_place_is_not_passed_over_in_silence(folder: Path) -> None:
    nowhere = ["--server", "http://127.0.0.1:1"]
    done = run(folder, "craft", "spec.json", "--threads", "2", *nowhere)
    assert (done.returncode, "--threads is for this machine" in done.stderr) == (2, True)
    done = run(folder, "craft", "spec.json", "--metadata", "commit=1")
    assert (done.returncode, "--metadata is kept with a server's job" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["networks", "resnet50"], "did you mean 'resnet50-imagenet'"),
        (["networks", "zzz*"], "no network 'zzz*'; there are"),
        (["presets", "raiw/vgg16"], "did you mean 'raiw/vgg16-d"),
        (["methods", "regularr"], "did you mean 'regular'"),
        (["show", "sha256:123"], "a digest is sha256: and 64 digits of 0-9 and a-f"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(
    folder: Path, arguments: list[str], words: str
) -> None:
    done = run(folder, *arguments)
    assert (done.returncode, done.stdout) == (5, "")
    assert words in done.stderr


def test_the_key_is_that_of_the_service(folder: Path) -> None:
    spec = raiw.Spec.parse(SPEC)
    assert run(folder, "key", "spec.json").stdout == spec.content_key() + "\n"


def test_set_changes_the_spec(folder: Path) -> None:
    done = run(folder, "plan", "spec.json", "--set", "craft.degree=2", "--json")
    assert json.loads(done.stdout)["edges"] == 80


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["diff", "masks.safetensors", "masks.safetensors"], 0, ""),
        (["diff", "masks.safetensors", "other.safetensors"], 6, ""),
        (["verify", "masks.safetensors", "--spec", "spec.json"], 0, ""),
        (["verify", "masks.safetensors", "--spec", "raiw/vgg16-d16"], 6, "fc1"),
        (["plan", "spec.json", "--set", "craft.degree=0"], 0, "fc1 (24 of 24 outputs"),
        (["plan", "spec.json", "--set", "craft.degree=0", "--strict"], 6, "2 layers have dead"),
        (["craft", "spec.json", "--set", "craft.degree=0"], 0, "fc2 (8 of 8 outputs"),
        (["craft", "spec.json", "--strict", "--set", "craft.degree=0"], 6, "min_fan_in"),
        (["craft", "spec.json", "--strict", "--set", "craft.degree=2"], 0, ""),
        (
            ["budget", "starved.json", "-m", "score", "-i", "scores.safetensors", "-o", "x.yaml"],
            0,
            "dead units: fc1",
        ),
        (["show", "spec.json"], 2, "mask file"),
        (["show", "nothing"], 5, "nothing"),
        (["craft", "nothing.yaml"], 5, "nothing.yaml"),
        (["craft", "spec.json", "--set", "craft.degree=25"], 2, "24"),
        (["craft", "spec.json", "--set", "craft.degre=2"], 2, "'degree'"),
        (["craft", "spec.json", "--set", "nonsense"], 2, "KEY=VALUE"),
        (["craft", "spec.json", "-o", "no/such/folder/file"], 5, "folder"),
        (["export", "masks.safetensors", "--to", "npz", "-o", "no/file"], 5, "folder"),
        (["craft", "spec.json", "-o", "."], 2, "folder"),
        (["craft", "spec.json", "-o", "/dev/full"], 2, "neither a file nor a pipe"),
        (["craft", "spec.json", "--detach"], 2, "RAIW_URL"),
        (["craft", "spec.json", "-i", "masks.safetensors"], 2, "fc1"),
        (["craft", "spec.json", "--server", "ftp://x"], 2, "http://"),
        (["craft", "spec.json", "--server", "http://127.0.0.1:1", "--local"], 2, "--local"),
        (["craft", "spec.json", "--timeout", "soon"], 2, "30m"),
        (["jobs", "get", "job_x", "--server", "http://127.0.0.1:1"], 7, "127.0.0.1:1"),
        (["export", "masks.safetensors", "--to", "pickle", "-o", "x"], 2, "npz"),
        (["plan", "resnet50"], 5, "did you mean 'raiw/resnet50-imagenet' or 'resnet50-imagenet'?"),
        (["plan", "list.yaml"], 2, "list.yaml: must be a mapping of fields to values, not [1]"),
        (["craft", "spec.json", "--set", "craft.rules=3"], 2, "/craft/rules: must be a list"),
        (["show", "junk"], 2, "junk: "),
        (["craft", "spec.json", "-i", "junk"], 2, "junk: "),
        (["spec", "junk"], 2, "junk: "),
        (["train", "digits-cnn", "--data", "nosuch", "-o", "run"], 5, "there are digits; raiw"),
        (["train", "digits-cnn", "--data", "digits", "-o", "x", "--set", "epochs=x"], 2, "'x'"),
        (["logout", "--server", "http://127.0.0.1:1"], 5, "no token is kept"),
        (["presets", "raiw/vgg16*"], 0, ""),
        (["methods", "gradient"], 0, ""),
        (["doctor", "--local"], 0, ""),
        (["cache"], 0, ""),
        (["plan", "-h"], 0, ""),
        (["frobnicate"], 2, "frobnicate"),
        (["craft"], 2, "SPEC"),
    ],
)
def test_the_exit_status_says_what_happened(
    folder: Path, arguments: list[str], status: int, words: str
) -> None:
    done = run(folder, *arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if status not in (0, 6):
        assert done.stdout == ""


def test_strict_refuses_before_anything_is_written(folder: Path) -> None:
    craft = ["craft", "starved.json", "-o", "new.safetensors", "--json"]
    error = json.loads(run(folder, *craft, "--strict").stdout)["error"]
    assert error["code"] == "dead-units"
    assert not (folder / "new.safetensors").exists()
    crafted = json.loads(run(folder, *craft).stdout)
    plan = json.loads(run(folder, "plan", "starved.json", "--json").stdout)
    assert crafted["dead_units"] == plan["dead_units"] == error["dead_units"]
    assert [units["layer"] for units in error["dead_units"]] == ["fc1", "fc2"]
    assert "2 layers have dead units" in run(folder, "show", "new.safetensors").stderr


def test_an_error_is_json_where_json_was_asked_for(folder: Path) -> None:
    done = start(folder, "craft", "spec.json", "--set", "craft.degree=25", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert "error: " in done.stderr  # a pipeline keeps stdout, and shows people stderr
    assert (error["code"], error["pointer"], error["nearest"]) == (
        "impossible-target",
        "/craft/degree",
        24,
    )


@pytest.mark.parametrize("form", ["bool", "torch-prune", "npz", "csr", "json", "graphml"])
def test_every_export_is_written(folder: Path, form: str) -> None:
    done = run(folder, "export", "masks.safetensors", "--to", form, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert (folder / "out").stat().st_size > 0


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m raiw plan raiw/vgg16-d16 | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, cwd=folder
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_interrupt_ends_with_130_and_leaves_no_file(folder: Path) -> None:
    big = {"name": "fc", "kind": "linear", "in_features": 2000, "out_features": 2000}
    layers = [big | {"name": f"fc{i}"} for i in range(40)]
    (folder / "big.json").write_text(json.dumps({"layers": layers, "craft": {"density": 0.5}}))
    process = subprocess.Popen(
        [sys.executable, "-m", "raiw", "craft", "big.json", "-o", "big.safetensors"],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "1/40" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not (folder / "big.safetensors").exists()


@pytest.mark.parametrize("module", MODULES)
def test_a_command_is_found_by_its_module(module: str) -> None:
    commands = import_module(f"raiw.cli.{module}").commands
    assert {*get_group(commands).commands} == {*MODULES[module]}


def test_an_interrupt_at_a_question_ends_with_130(folder: Path) -> None:
    terminal, line = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "raiw", "login", "--server", "http://127.0.0.1:1"],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=line,
        stdout=line,
        stderr=line,
        start_new_session=True,
    )
    os.close(line)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while b"Token for" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        while piece := os.read(terminal, 4096):
            shown += piece
    assert process.wait(timeout=300) == 130
    assert b"Traceback" not in shown
    os.close(terminal)


def commands() -> list[str]:
    group = get_command(app)
    return [name for name in group.commands if name not in {"jobs", "webhooks"}]  # groups


@pytest.mark.parametrize("name", commands())
def test_the_examples_of_help_run(folder: Path, name: str) -> None:
    shown = run(folder, name, "--help")
    assert shown.returncode == 0
    lines = re.findall(r"^\s+raiw (.*)$", shown.stdout.partition("Examples:")[2], re.MULTILINE)
    assert lines
    if name in {"pull", "login"}:  # they need a server; the integration tests run them
        return
    for written in ["masks"] + ["scores"] * (name == "score"):  # others than what examples write
        (folder / f"{written}.safetensors").unlink()
    for line in lines:
        arguments, _, status = line.partition(" || test $? = ")
        done = run(folder, *shlex.split(arguments))
        assert done.returncode == int(status or 0), done.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("plan raiw/vgg16-d1", ["raiw/vgg16-d16"]),
        ("score digits", ["digits-cnn"]),
        ("score digits-cnn -m sni", ["snip"]),
        ("train digits-cnn --data cifar100", ["cifar100"]),
        ("export m --to torch", ["torch-prune"]),
        ("show oth", ["other.safetensors"]),
        ("jobs get job_", []),
    ],
)
def test_the_shell_completes_names(folder: Path, typed: str, offered: list[str]) -> None:
    words = f"raiw {typed}"
    shell = {"COMP_WORDS": words, "COMP_CWORD": str(len(typed.split()))}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['raiw']; import raiw.cli; raiw.cli.main()"],
        cwd=folder,
        env=ENVIRONMENT | shell | {"_RAIW_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == offered, done.stderr


def test_a_target_on_the_command_line_replaces_that_of_the_spec(folder: Path) -> None:
    done = run(folder, "plan", "raiw/vgg16-d16", "--set", "craft.density=0.1", "--json")
    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    assert layers["conv7"]["density"] == pytest.approx(0.1, abs=0.001)
    assert layers["conv1"]["density"] == 1  # rules stay
    done = run(folder, "plan", "spec.json", "--set", "craft.density=0.1", "--set", "craft.degree=2")
    assert done.returncode == 2
    assert "give one target, not degree and density" in done.stderr


def test_a_terminal_of_eighty_columns_shows_tables_and_old_encodings_hold_them(
    folder: Path,
) -> None:
    for environment in ({}, {"PYTHONIOENCODING": "cp1252"}, {"TERM": "dumb", "NO_COLOR": "1"}):
        shown = on_a_terminal(folder, environment, "show", "masks.safetensors")
        lines = shown.splitlines()
        assert max(map(len, lines)) <= 80
        assert "fc1" in shown
        assert "entropy" in shown
        assert "\x1b" not in "".join(line for line in lines if "fc1 " in line)
        assert "Traceback" not in shown


def on_a_terminal(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Return what a command prints on a terminal; standard error is elsewhere."""
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", 24, 80, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        [sys.executable, "-m", "raiw", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    read = bytearray()
    with contextlib.suppress(OSError):  # the terminal ends with the process
        while piece := os.read(ours, 65536):
            read += piece
    os.close(ours)
    assert process.wait() == 0
    return read.decode(environment.get("PYTHONIOENCODING", "utf-8"))


def test_a_version_is_one_line(folder: Path) -> None:
    assert run(folder, "--version").stdout == f"raiw {raiw.__version__}\n"
