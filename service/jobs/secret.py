"""The server's own secret, from which others are derived; the database never holds it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from raiw.files import write_atomically
from service.settings import InvalidSettings, Settings

_FILE = "secret"
_BYTES = 32


def server_secret(settings: Settings) -> bytes:
    """Return ``RAIW_SECRET``, or else the content of a file in the state folder.

    The file is made when it is first needed.

    Raises
    ------
    InvalidSettings
        The file cannot be kept.
    """
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path = settings.state_dir / _FILE
    try:
        return _kept(path)
    except OSError as error:
        raise InvalidSettings(
            f"the secret of the server cannot be kept in {path}: {error.strerror}; set "
            f"RAIW_SECRET, or choose another --state-dir"
        ) from None


def shared_secret(settings: Settings) -> bytes:
    """Return the secret that all servers of a deployment certainly share.

    Raises
    ------
    InvalidSettings
        There is none: with a database of its own, other servers may have another file.
    """
    if settings.secret is None and settings.database_url:
        raise InvalidSettings(
            "webhooks need RAIW_SECRET: 32 random characters or more, the same on every API server"
        )
    return server_secret(settings)


def _kept(path: Path) -> bytes:
    """Return the secret in a file, which is made if there is none; the first maker's counts."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_atomically(part, [secrets.token_hex(_BYTES).encode()], mode=0o600)
    try:
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()
    return path.read_bytes()
