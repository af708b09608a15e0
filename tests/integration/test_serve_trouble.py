"""``raiw serve`` when a part dies, an address is taken or a path is awkward."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import raiw
from service.settings import load_settings
from tests.integration.stack import eventually
from tests.integration.test_job_life import small
from tests.integration.test_serve import PLAIN, SERVE, alive, family, serving


def program(pid: int) -> str:
    """Return a process's command line; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def running(pid: int, words: str) -> set[int]:
    return {child for child in alive(family(pid)) if words in program(child)}


@pytest.mark.parametrize("words", ["raiw worker", "valkey-server"])
def test_a_part_that_dies_is_started_again_and_jobs_go_on(tmp_path: Path, words: str) -> None:
    with serving(tmp_path, RAIW_REPUBLISH_SECONDS="1") as service:
        before = running(service.process.pid, words)
        assert before
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: running(service.process.pid, words) - before)
        with raiw.Client(service.url) as client:
            assert client.craft(small()).result(timeout=300).edges > 0
        everybody = family(service.process.pid)
        assert service.end(signal.SIGINT) == 0
        eventually(lambda: not alive(everybody))


@pytest.mark.parametrize("name", ["with spaces, # and ?", "x" * 120])
def test_a_state_folder_may_have_any_path(tmp_path: Path, name: str) -> None:
    with serving(tmp_path / name) as service:
        with raiw.Client(service.url) as client:
            assert client.craft(small()).result(timeout=300).edges > 0
        folder = load_settings(state_dir=tmp_path / name).valkey_socket.parent
        assert folder.exists()
        assert service.end(signal.SIGTERM) == 0
    assert not list(folder.glob("*.sock"))
    assert folder.exists() == (folder == tmp_path / name)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "--state-dir", str(tmp_path), "--port", port],
            env=PLAIN,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 2
    assert port in done.stderr
    assert "--port" in done.stderr


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://raiw:secret-words@127.0.0.1:1/raiw"
    done = subprocess.run(
        [*SERVE, "--state-dir", str(tmp_path)],
        env=PLAIN | {"RAIW_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7
    assert "127.0.0.1:1" in done.stderr
    assert "secret-words" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_stopped_takes_its_service_along(tmp_path: Path, number: int) -> None:
    demo = subprocess.Popen(
        [*SERVE[:3], "demo"],
        cwd=tmp_path,
        env=PLAIN | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    assert "a service of its own runs" in demo.stderr.readline()
    everybody = family(demo.pid)
    assert running(demo.pid, "raiw serve")
    demo.send_signal(number)
    demo.communicate(timeout=240)
    eventually(lambda: not alive(everybody))


@pytest.mark.parametrize("again", [False, True])
def test_migrate_makes_the_database_and_may_be_repeated(tmp_path: Path, *, again: bool) -> None:
    for _ in range(1 + again):
        done = migrate(tmp_path / "state")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "state" / "raiw.sqlite").exists()


def test_migrate_names_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = migrate(tmp_path / "file" / "state")
    assert done.returncode == 2
    assert "RAIW_STATE_DIR" in done.stderr


def migrate(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SERVE[:3], "migrate"],
        env=PLAIN | {"RAIW_STATE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
