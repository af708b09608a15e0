"""One deployment a kind for the whole run: the same tests on SQLite and on PostgreSQL."""

import signal
from collections.abc import Iterator

import pytest

from tests.integration.pools import FORKS
from tests.integration.stack import Stack


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Stack]:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end tidies up too
    stack = Stack(request.param)
    yield stack
    stack.stop()


@pytest.fixture
def stack(deployment: Stack) -> Stack:
    """The deployment with a worker: the one the last test left, or a new one."""
    if not deployment.workers:
        deployment.start_worker()
    return deployment


@pytest.fixture
def idle_stack(deployment: Stack) -> Iterator[Stack]:
    """The deployment without a worker, so that jobs stay queued."""
    deployment.stop_workers()
    yield deployment
    deployment.stop_workers()


@pytest.fixture(scope="session")
def forks() -> Iterator[None]:
    """Where the processes of :func:`tests.integration.pools.pool` come from."""
    FORKS.open()
    yield
    FORKS.close()
