"""The token that a server asks for: where it is kept, and what it may look like.

A token given by the caller wins, then ``RAIW_TOKEN``, then the one kept for the server: in the
system's keyring (``pip install 'raiw[keyring]'``), else in a file that only its owner can read.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raiw.errors import InvalidInput
from raiw.files import write_atomically

DEFAULT_URL = "http://127.0.0.1:8321"

_SERVICE = "raiw"
"""Name of our entries in the keyring."""
_MAX_TOKEN = 4096


def server_url(url: str | None = None) -> str:
    """Return the address of the server to use: as given, else ``RAIW_URL``, else this machine's."""
    return url or os.environ.get("RAIW_URL") or DEFAULT_URL


def checked_url(url: str) -> str:
    """Return a server's URL without the slash at its end.

    Raises
    ------
    InvalidInput
        It is no address of a server.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidInput(
            f"server URL {url!r} must be like http://127.0.0.1:8321 or https://raiw.example.org"
        )
    return url.rstrip("/")


def find_token(url: str, given: str | None = None) -> str | None:
    """Return the token for a server, None if there is none.

    Raises
    ------
    InvalidInput
        It holds what no token may; the message does not repeat it.
    """
    if given is not None:
        return checked_token(given, "the token")
    from_environment = os.environ.get("RAIW_TOKEN")
    if from_environment is not None and from_environment.strip():
        return checked_token(from_environment, "RAIW_TOKEN")
    kept = kept_token(url)
    return None if kept is None else checked_token(kept, f"the token kept for {url}")


def token_source(url: str) -> str | None:
    """Say where the token for a server comes from, None if there is none."""
    if (os.environ.get("RAIW_TOKEN") or "").strip():
        return "RAIW_TOKEN"
    return None if kept_token(url) is None else "kept by raiw login"


def checked_token(token: str, what: str) -> str | None:
    r"""Return a token without space around it, None if nothing is left.

    >>> checked_token(" abc\n", "the token")
    'abc'
    """
    token = token.strip()
    for place, char in enumerate(token):
        if not (char.isascii() and char.isprintable()):
            raise InvalidInput(
                f"{what} has a character at position {place + 1} of {len(token)} that no token may "
                f"have: only printable ASCII; copy it again"
            )
    if len(token) > _MAX_TOKEN:
        raise InvalidInput(f"{what} has {len(token)} characters; a token has {_MAX_TOKEN} at most")
    return token or None


def keep_token(url: str, token: str) -> str:
    """Keep a token for a server; return in words where."""
    keyring = _keyring()
    if keyring is not None:
        keyring.set_password(_SERVICE, _origin(url), token)
        return f"the keyring ({keyring.get_keyring().name})"
    _write(_read() | {_origin(url): token})
    return str(_file())


def kept_token(url: str) -> str | None:
    """Return the token kept for a server."""
    found = _read().get(_origin(url))
    keyring = None if found is not None else _keyring()
    if keyring is not None:
        found = keyring.get_password(_SERVICE, _origin(url))
    return found


def forget_token(url: str) -> bool:
    """Remove the token kept for a server; return whether there was one."""
    found = kept_token(url) is not None
    tokens = _read()
    if tokens.pop(_origin(url), None) is not None:
        _write(tokens)
    keyring = _keyring()
    if keyring is not None and keyring.get_password(_SERVICE, _origin(url)) is not None:
        keyring.delete_password(_SERVICE, _origin(url))
    return found


def _origin(url: str) -> str:
    """Return scheme, host and port: a token is for no other server."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _keyring() -> Any:
    """Return the package keyring if it is installed and the system has one to use."""
    try:
        keyring = import_module("keyring")
        usable = keyring.get_keyring().priority >= 1
    except (ImportError, RuntimeError):
        return None
    return keyring if usable else None


def _file() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / "raiw" / "tokens.json"
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root) / "raiw" / "tokens.json"


def _read() -> dict[str, str]:
    file = _file()
    try:
        tokens = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{str(file)!r} cannot be read ({type(error).__name__}): remove it"
        ) from None
    if not isinstance(tokens, dict) or not all(isinstance(t, str) for t in tokens.values()):
        raise InvalidInput(f"{str(file)!r} does not map servers to tokens: remove it")
    return tokens


def _write(tokens: dict[str, str]) -> None:
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(file, [json.dumps(tokens, indent=1).encode()], mode=0o600)
