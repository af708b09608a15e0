"""Mask files fetched from the bucket itself, to which the API sends its clients."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import raiw
from raiw.errors import InvalidMasks
from service.store.files.bucket import Bucket
from tests.integration.s3 import S3
from tests.integration.stack import SETTINGS, Stack

LAYER = {"name": "fc", "kind": "linear", "in_features": 2048, "out_features": 2048}
SPEC: dict[str, Any] = {"layers": [LAYER], "craft": {"degree": 16}}
TOKEN = "t" * 32


class Relay:
    """What stands between clients and the store: it notes requests, and breaks connections."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._to = (str(address.hostname), int(address.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.break_after: int | None = None
        """Bytes of the next answer after which the connection breaks."""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as store:
            asking = threading.Thread(target=self._ask, args=(client, store), daemon=True)
            asking.start()
            self._answer(store, client)
            for one in (client, store):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, client: socket.socket, store: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                self.requests.append(data.decode("latin-1"))
                store.sendall(data)
            store.shutdown(socket.SHUT_RDWR)

    def _answer(self, store: socket.socket, client: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := store.recv(1 << 14):
                passed += len(data)
                if self.break_after is not None and passed > self.break_after:
                    self.break_after = None
                    return
                client.sendall(data)


@pytest.fixture(scope="module")
def relay(s3: S3) -> Iterator[Relay]:
    relay = Relay(s3.environment()["AWS_ENDPOINT_URL"])
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def remote(s3: S3, relay: Relay) -> Iterator[Stack]:
    settings = SETTINGS | {
        "RAIW_MASKS_IN_DATABASE_BYTES": "0",
        "RAIW_OBJECTS": s3.url(),
        "RAIW_OBJECTS_REDIRECT_SECONDS": "600",
    }
    stack = Stack("sqlite", settings, **s3.environment(AWS_ENDPOINT_URL=relay.url))
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def made(remote: Stack) -> dict[str, Any]:
    """The result of a job whose masks lie in the bucket."""
    remote.start_worker()
    result: dict[str, Any] = remote.wait(remote.submit(SPEC).json()["id"])["result"]
    return result


def signed(relay: Relay) -> list[str]:
    return [one for one in relay.requests if "X-Amz-Signature" in one]


def test_clients_are_sent_to_the_bucket_and_tell_it_no_token(
    remote: Stack, relay: Relay, made: dict[str, Any], tmp_path: Path
) -> None:
    relay.requests.clear()
    with raiw.Client(remote.url, token=TOKEN) as client:
        client.download(made["digest"], tmp_path / "masks")

    async def download() -> None:
        async with raiw.AsyncClient(remote.url, token=TOKEN) as client:
            await client.download(made["digest"], tmp_path / "same")

    asyncio.run(download())
    for name in ("masks", "same"):
        assert (tmp_path / name).read_bytes() == raiw.craft(SPEC).to_bytes()
    assert len(signed(relay)) == 2
    assert TOKEN not in "".join(relay.requests)


def test_a_download_goes_on_where_it_broke(
    remote: Stack, relay: Relay, made: dict[str, Any], tmp_path: Path
) -> None:
    relay.requests.clear()
    relay.break_after = 200_000
    remote.client.download(made["digest"], tmp_path / "masks")
    assert (tmp_path / "masks").read_bytes() == raiw.craft(SPEC).to_bytes()
    first, again = signed(relay)
    assert "range:" not in first.lower()
    start = int(again.lower().partition("range: bytes=")[2].partition("-")[0])
    assert 100_000 < start <= 200_000


def test_only_the_bytes_of_the_file_come_from_the_bucket(
    remote: Stack, relay: Relay, made: dict[str, Any]
) -> None:
    url = f"/v1/masks/{made['digest']}/file"
    sent = remote.http.get(url)
    etag = f'"{made["file_sha256"][-64:]}"'
    assert (sent.status_code, sent.headers["etag"]) == (307, etag)
    assert sent.headers["cache-control"] == "private, no-store"
    assert sent.headers["location"].startswith(relay.url)
    assert remote.http.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert remote.http.head(url).headers["content-length"] == str(made["bytes"])
    assert remote.http.get(url, params={"format": "npz"}).status_code == 200
    assert remote.http.get(f"/v1/masks/sha256:{64 * '0'}/file").status_code == 404
    bare = httpx.get(sent.headers["location"].partition("?")[0])
    assert bare.status_code == 403  # nobody comes in without the signature


def test_other_bytes_are_refused(remote: Stack, made: dict[str, Any], tmp_path: Path) -> None:
    name = made["file_sha256"][-64:]
    bucket = Bucket(remote.environment["RAIW_OBJECTS"])
    key = f"sha256/{name[:2]}/{name[2:4]}/{name}"
    whole = bucket.get(key, 0, made["bytes"])
    bucket.put(key, len(whole), [whole[:-1] + b"!"])
    with pytest.raises(InvalidMasks, match="damaged"):
        remote.client.download(made["digest"], tmp_path / "masks")
    assert not (tmp_path / "masks").exists()
