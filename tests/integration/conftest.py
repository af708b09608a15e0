"""One deployment a kind for the whole run: the same tests on SQLite and on PostgreSQL."""

import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.integration.pools import FORKS
from tests.integration.s3 import S3
from tests.integration.stack import Stack

_SHOWN_CHARACTERS = 10_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the deployment's log beside a failure."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("deployment")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(
            ("log of the deployment", stack.log.read_text()[-_SHOWN_CHARACTERS:])
        )
    return report


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
def s3() -> Iterator[S3]:
    """An object store that speaks S3, to which this process has the key."""
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        server, before = S3(Path(folder)), dict(os.environ)
        os.environ.update(server.environment())
        yield server
        os.environ.clear()
        os.environ.update(before)
        server.stop()


@pytest.fixture(scope="session")
def forks() -> Iterator[None]:
    """Where the processes of :func:`tests.integration.pools.pool` come from."""
    FORKS.open()
    yield
    FORKS.close()
