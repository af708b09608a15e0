"""One server a module, on a migrated SQLite file; nobody crafts."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.integration.api.servers import Server, start_server


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Start servers with given settings; all end with the module."""
    running = []

    def _start(**changes: object) -> Server:
        running.append(start_server(tmp_path_factory.mktemp("state"), **changes))
        return running[-1]

    yield _start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def server(start) -> Server:
    return start()


@pytest.fixture
def http(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=240) as client:
        yield client
