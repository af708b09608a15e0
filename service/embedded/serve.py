"""The order in which everything starts, and the reverse order in which it ends."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from raiw.errors import Unreachable
from service.api.app import create_app
from service.api.server import server_config
from service.embedded.children import Child
from service.embedded.state import StateFolder
from service.embedded.valkey import valkey
from service.jobs.keys import is_any_valid
from service.jobs.services import Services
from service.jobs.workers import READY
from service.settings import PREFIX, InvalidSettings, Settings, object_credentials
from service.store.migrate import migrate

logger = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_API_GRACE_SECONDS = 5
"""Requests under way may finish within this time after a request to stop."""
_WORKER_GRACE_SECONDS = 10.0
_WORKER_START_SECONDS = 60.0


def serve(settings: Settings, *, with_worker: bool, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; nothing that was started is left behind.

    Parameters
    ----------
    settings
        The deployment; without URLs the database and the broker are in the state folder.
    with_worker
        Run a worker too; otherwise ``raiw worker`` runs elsewhere.
    on_ready
        Called with the address, once the API and the worker answer.

    Raises
    ------
    InvalidSettings
        The address or the state folder cannot be used, or the address needs keys and nobody has
        any.
    Unreachable
        The database or the embedded broker does not answer.
    MissingExtra
        The embedded broker is needed and not installed.
    """
    os.umask(0o077)
    with _stoppable(), ExitStack() as running:
        state = running.enter_context(StateFolder(settings.state_dir))
        listener = running.enter_context(_listen(settings))
        url = _url(listener)
        migrate(settings)
        check_address(settings)
        if not settings.broker_url:
            running.enter_context(valkey(settings))
        worker = running.enter_context(_worker(settings)) if with_worker else None
        state.announce(url)
        app = create_app(settings)
        server = _Server(server_config(app, settings, grace_seconds=_API_GRACE_SECONDS))
        threading.Thread(
            target=_announce, args=(server, worker, lambda: on_ready(url)), daemon=True
        ).start()
        _favour_the_loop()
        server.run(sockets=[listener])
        if not server.started:
            raise Unreachable("the API did not start; the log says why")


def check_address(settings: Settings) -> None:
    """Refuse to serve strangers.

    Raises
    ------
    InvalidSettings
        Keys are needed, as the address is not a loopback one, and nobody has any.
    """
    if settings.keyless or settings.token is not None:
        return
    services = Services.open(settings)
    try:
        if is_any_valid(services):
            return
    finally:
        services.database.close()
    raise InvalidSettings(
        f"{settings.host} needs keys, and there is none: make one with raiw keys create --owner "
        f"NAME --scope all, set RAIW_TOKEN, or RAIW_ALLOW_PUBLIC=true behind a proxy that "
        f"authenticates"
    )


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C; after the first of either, more of them change nothing."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        logger.info("stopped")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _listen(settings: Settings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InvalidSettings(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose "
            f"another with --host and --port (RAIW_HOST, RAIW_PORT; port 0 takes a free one)"
        ) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _worker(settings: Settings) -> Child:
    values = settings.model_dump(mode="json", exclude={"token", "key_secret"}, exclude_none=True)
    return Child(
        "worker",
        # -P: run what is installed, not a source tree that happens to be the current folder.
        [sys.executable, "-P", "-m", "raiw", "worker"],
        environment=object_credentials()
        | {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()},
        grace_seconds=_WORKER_GRACE_SECONDS,
    )


def _favour_the_loop() -> None:
    """Keep computing threads from blocking the event loop for long.

    The garbage collector stops every thread while it runs: it skips objects that stay for good, and
    runs less often. Threads switch every millisecond.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(0.001)


class _Server(uvicorn.Server):
    """Lets waiting clients go when it is told to stop, instead of waiting for them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the long polls and event streams, then everything else."""
        app: FastAPI = self.config.app  # type: ignore[assignment]  # an ASGI application: ours
        app.state.closing.set()
        await super().shutdown(sockets)


def _announce(server: uvicorn.Server, worker: Child | None, ready: Callable[[], None]) -> None:
    while not server.started:
        time.sleep(0.02)
    if worker is not None:
        try:
            worker.wait_until(lambda: worker.has_said(READY), _WORKER_START_SECONDS)
        except Unreachable:
            logger.warning("no worker is ready yet; jobs are accepted and wait")
    ready()
