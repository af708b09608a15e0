"""``raiw serve``: one command, one folder, nothing left behind."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

import raiw
from raiw.errors import Unauthorized
from tests.integration.stack import children, eventually
from tests.integration.test_job_life import slow, small

SERVE = [sys.executable, "-m", "raiw", "serve", "--port", "0"]
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("RAIW_")}


class Service:
    """A running ``raiw serve``."""

    def __init__(
        self, folder: Path, *, log: int | IO[str] = subprocess.PIPE, **environment: str
    ) -> None:
        self.process = subprocess.Popen(
            [*SERVE, "--state-dir", str(folder)],
            env=PLAIN | {"RAIW_MIN_FREE_BYTES": "0"} | environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "raiw is ready at http://127.0.0.1:" in line, self.process.communicate()
        self.url = line.split()[4]
        self.family = family(self.process.pid)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=240)
        return self.process.returncode


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Service]:
    service = Service(folder, **environment)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.end(signal.SIGKILL)


def family(pid: int) -> set[int]:
    """Return the processes below a process: Valkey, the worker and its pool."""
    direct = set(children(pid))
    return direct.union(*map(family, direct))


def alive(pids: set[int]) -> set[int]:
    def lives(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"

    return {pid for pid in pids if lives(pid)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_everything(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "state"
    with serving(folder) as service:
        assert len(service.family) >= 3
        with raiw.Client(service.url) as client:
            assert client.craft(small()).result(timeout=300).edges > 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert service.end(number) == 0
        assert not alive(service.family)
    assert not (folder / "valkey.sock").exists()


def test_a_second_serve_on_the_same_folder_says_who_has_it(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        second = subprocess.run(
            [*SERVE, "--state-dir", str(tmp_path)],
            env=PLAIN,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert second.returncode == 2
        assert service.url in second.stderr
        assert str(service.process.pid) in second.stderr
        assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_nothing_outlives_a_killed_serve_and_its_jobs_go_on_at_the_next(tmp_path: Path) -> None:
    lease = {"RAIW_LEASE_SECONDS": "2"}
    with serving(tmp_path, **lease) as service, raiw.Client(service.url) as client:
        job = client.craft(slow(6))
        eventually(lambda: job.refresh() and job.progress.completed > 0)
        service.end(signal.SIGKILL)
        eventually(lambda: not alive(service.family))
    with serving(tmp_path, **lease) as service, raiw.Client(service.url) as client:
        assert client.job(job.id).result(timeout=90).digest == raiw.craft(job.view["spec"]).digest
        service.end(signal.SIGINT)


def test_a_token_is_asked_for_and_taken(tmp_path: Path) -> None:
    token = "0123456789abcdef-token"
    with serving(tmp_path, RAIW_TOKEN=token) as service:
        assert httpx.get(f"{service.url}/livez").status_code == 200
        refused = httpx.get(f"{service.url}/v1/jobs")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        with raiw.Client(service.url) as stranger, pytest.raises(Unauthorized):
            stranger.craft(small())
        with raiw.Client(service.url, token=token) as client:
            assert client.craft(small()).result(timeout=300).edges > 0
        service.end(signal.SIGINT)


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (["--host", "0.0.0.0"], {}, "RAIW_TOKEN"),
        (["--host", "0.0.0.0"], {"RAIW_TOKEN": "short"}, "16 characters"),
        ([], {"RAIW_LEASE_SECOND": "5"}, "RAIW_LEASE_SECONDS"),
        ([], {"RAIW_LEASE_SECONDS": "-5"}, "RAIW_LEASE_SECONDS"),
        (["--state-dir", "/proc/nowhere"], {}, "--state-dir"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused_in_words(
    tmp_path: Path, options: list[str], environment: dict[str, str], words: str
) -> None:
    done = subprocess.run(
        [*SERVE, "--state-dir", str(tmp_path), *options],
        env=PLAIN | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_crafts_verifies_and_leaves_only_its_files(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raiw", "demo"],
        cwd=tmp_path,
        env=PLAIN,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("verified, sha256:") == 2
    files = sorted(path.name for path in (tmp_path / "raiw-demo").iterdir())
    assert files == [
        "digits-cnn-d8.masks.safetensors",
        "digits-cnn.scores.safetensors",
        "vgg16-d16.masks.safetensors",
    ]


def test_only_the_api_knows_the_token(tmp_path: Path) -> None:
    token = "a token of sixteen and more"
    with serving(tmp_path, RAIW_TOKEN=token) as service:
        with raiw.Client(service.url, token=token) as client:
            assert client.craft(small()).result(timeout=300).edges > 0
        everybody = alive(family(service.process.pid))
        assert len(everybody) >= 4, "Valkey, the worker, its pool and what forks"
        environments = [Path(f"/proc/{pid}/environ").read_text() for pid in everybody]
        assert sum("PATH=" in environment for environment in environments) >= 3
        assert not [environment for environment in environments if token in environment]
        assert service.end(signal.SIGTERM) == 0
