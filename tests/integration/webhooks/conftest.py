"""One server, which tells receivers on this machine, and a receiver for each test."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.api.servers import Server, start_server
from tests.integration.webhooks.receivers import Receiver, receiving

QUICK = {
    "janitor_seconds": 0.1,
    "webhook_networks": "127.0.0.0/8",
    "webhook_timeout_seconds": 5,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("state"), **QUICK)
    yield running
    running.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
        for item in client.get("/v1/webhooks").json()["items"]:
            client.delete(f"/v1/webhooks/{item['id']}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running
