"""Starting real servers on loopback ports, and reading their problems."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

import raiw
from raiw.canonical import digest_of
from raiw.masks import MaskSet
from service.api.app import create_app
from service.api.server import server_config
from service.contract.access import LOCAL
from service.jobs.services import Services
from service.jobs.uploads import put_blob
from service.settings import Settings
from service.store import masks
from service.store.migrate import migrate

SPEC = {
    "layers": [{"name": "fc", "kind": "linear", "in_features": 64, "out_features": 64}],
    "craft": {"degree": 4},
}


@dataclass
class Server:
    """A running server; ``services`` looks at the same database from inside."""

    app: FastAPI
    uvicorn: uvicorn.Server
    thread: threading.Thread
    listener: socket.socket

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.listener.getsockname())

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services.of(LOCAL)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=240)

    def stop(self) -> None:
        self.app.state.closing.set()
        self.uvicorn.should_exit = True
        self.thread.join(timeout=240)
        self.listener.close()


def settings_in(folder: Path, **changes: object) -> Settings:
    values = {
        "state_dir": folder,
        "broker_url": "redis://127.0.0.1:1/0",  # nobody listens: submitting must not care
        "min_free_bytes": 0,
        "max_json_bytes": 1 << 20,
        "max_upload_bytes": 1 << 30,
    }
    return Settings(**{**values, **changes})


def start_server(folder: Path, **changes: object) -> Server:
    settings = settings_in(folder, **changes)
    migrate(settings)
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(app, settings, grace_seconds=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    return Server(app, server, thread, listener)


def store(services: Services) -> tuple[MaskSet, bytes]:
    """Store masks, and their file as an upload; return both."""
    crafted = raiw.craft(SPEC)
    file = crafted.to_bytes()
    with services.database.write() as session:
        masks.add(
            session,
            services.artifacts,
            owner=LOCAL,
            digest=crafted.digest,
            file=file,
            document=crafted.to_json(),
            in_database_bytes=1 << 30,
            now=services.database.now(session),
        )
    put_blob(services, digest_of(file), len(file), [file])
    return crafted, file


def assert_problem(
    response: httpx.Response, status: int, code: str, pointer: str | None = None
) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"urn:raiw:problem:{code}"
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in body["errors"]], body
    return body
