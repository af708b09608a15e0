"""Keys of a real deployment: made by the command, and seen nowhere but where they are shown."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import raiw
from raiw.errors import NotFound, Unauthorized
from service.contract.keys import KEY
from tests.integration.test_job_life import small
from tests.integration.test_serve import PLAIN, Service, alive, family

WEEK = "--days", "7"


class Deployment:
    """A state folder, and the commands of its operator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = PLAIN | {"RAIW_STATE_DIR": str(folder / "state")}
        self.said = ""

    def raiw(
        self,
        *arguments: str,
        status: int = 0,
        env: dict[str, str] | None = None,
        typed: str | None = None,
    ) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "raiw", *arguments],
            env=self.environment if env is None else env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stderr
        self.said += done.stderr
        return done.stdout

    def key(self, owner: str, *options: str) -> str:
        """Return a key, which is all that the command prints."""
        key = self.raiw("keys", "create", "--owner", owner, *options).removesuffix("\n")
        assert KEY.fullmatch(key)
        return key


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_keys_open_a_server_and_stand_in_no_log_argument_or_environment(
    deployment: Deployment,
) -> None:
    one, two = (deployment.key(name, "--scope", "all", *WEEK) for name in ("alice", "bob"))
    reader = deployment.key("alice", "--scope", "jobs:read")
    log, spec = deployment.folder / "log", small()
    with log.open("w") as file:
        service = Service(
            deployment.folder / "state",
            log=file,
            RAIW_LOG_LEVEL="debug",
            RAIW_REQUIRE_KEYS="1",
        )
        try:
            with raiw.Client(service.url) as stranger, pytest.raises(Unauthorized):
                stranger.craft(spec)
            with raiw.Client(service.url, token=one) as alice, raiw.Client(service.url, two) as bob:
                first = alice.craft(spec)
                made = first.result(timeout=300)
                with pytest.raises(NotFound):
                    bob.job(first.id)
                second = bob.craft(spec)
                assert second.id != first.id
                assert second.result(timeout=300).digest == made.digest
                assert [job.id for job in bob.jobs()] == [second.id]
            with raiw.Client(service.url, token=reader) as client:
                assert [job.id for job in client.jobs()] == [first.id]
                with pytest.raises(Unauthorized, match="jobs:write"):
                    client.craft(spec | {"name": "more"})
            _login(deployment, service.url, one)
            everybody = alive(family(service.process.pid)) | {service.process.pid}
            assert len(everybody) >= 4, "Valkey, the worker, its pool and what forks"
            shown = [
                Path(f"/proc/{pid}/{what}").read_text()
                for pid in everybody
                for what in ("cmdline", "environ")
            ]
            httpx.get(f"{service.url}/v1/jobs", headers={"Authorization": f"Bearer {two}x"})
        finally:
            service.process.send_signal(signal.SIGTERM)
            service.process.communicate(timeout=240)
    said = log.read_text()
    assert "GET /v1/jobs" in said or "job" in said
    secret = (deployment.folder / "state" / "key.secret").read_text()
    for key in (one, two, reader):
        for text in (said, deployment.said, *shown):
            assert key not in text
            assert key[18:-6] not in text
            assert secret not in text
        for path in (deployment.folder / "state").rglob("*"):
            if path.is_file():
                assert key[18:-6].encode() not in path.read_bytes(), path


def _login(deployment: Deployment, url: str, key: str) -> None:
    """Keep the key with ``raiw login``; ``raiw doctor`` then says whose it is."""
    own = PLAIN | {
        "XDG_CONFIG_HOME": str(deployment.folder / "config"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    deployment.raiw("login", "--server", url, env=own, typed=key + "\n")
    said = deployment.raiw("doctor", "--server", url, env=own)
    assert "alice" in said
    assert key not in said
    kept = deployment.folder / "config" / "raiw" / "tokens.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_command_makes_lists_rotates_and_revokes(deployment: Deployment) -> None:
    first = deployment.key("ci", "--scope", "jobs:read", "--name", "nightly")
    key_id = first.split("_")[1]
    second = deployment.raiw("keys", "rotate", key_id, "--overlap-hours", "1").strip()
    assert KEY.fullmatch(second)
    deployment.raiw("keys", "revoke", second.split("_")[1])
    listed = deployment.raiw("keys", "ls")
    assert KEY.search(listed) is None
    states = {line.split("\t")[0]: line.split("\t")[3] for line in listed.splitlines()[1:]}
    assert states[second.split("_")[1]] == "revoked"
    assert states[key_id].startswith("until ")
    deployment.raiw("keys", "revoke", "0" * 12, status=5)
    deployment.raiw("keys", "create", "--owner", "x", "--scope", "jobs:fly", status=2)
    assert "jobs:read" in deployment.said


def test_an_address_for_others_needs_a_key_first(deployment: Deployment) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "raiw", "serve", "--host", "0.0.0.0", "--port", "0"],
        env=deployment.environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    for remedy in ("raiw keys create", "RAIW_TOKEN", "RAIW_ALLOW_PUBLIC"):
        assert remedy in refused.stderr
