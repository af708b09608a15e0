"""The server's own secret, from which others are derived; the database never holds it."""

import os
import secrets
from pathlib import Path

from service.settings import InvalidSettings, Settings

_FILE = "secret"


def server_secret(settings: Settings) -> bytes:
    """Return ``RAIW_SECRET``, or the secret that a deployment in one state folder keeps there.

    Raises
    ------
    InvalidSettings
        There is none, and with a database of its own other servers may need the same.
    """
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    if settings.database_url:
        raise InvalidSettings(
            "webhooks need RAIW_SECRET: 32 random characters or more, the same on every API server"
        )
    return _kept(settings.state_dir / _FILE)


def _kept(file: Path) -> bytes:
    """Return the content of a file, which is made of random bytes if it is not there."""
    if not file.exists():
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(secrets.token_hex(32))
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(fresh, file)  # whoever is first has made it, whole
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_bytes()
