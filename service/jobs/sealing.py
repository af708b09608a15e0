"""The server's secret: what keys are sealed with and the secrets of webhooks derived from.

So whoever reads the database has none of them.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from raiw.files import write_atomically
from service.settings import InvalidSettings, Settings

_FILE = "key.secret"
_BYTES = 32


class Seal:
    """Computes what is stored instead of a key, and what a signed-in browser keeps instead of it.

    The secret is ``RAIW_KEY_SECRET``, which all servers of a deployment must share. Where the
    database is in the state folder too, a file beside it does as well, made when it is needed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def digest(self, key: str) -> str:
        """Return what is stored of a key."""
        return self._mac("key", key)

    def proof(self, digest: str) -> str:
        """Return what a browser keeps of a key whose digest is stored."""
        return self._mac("session", digest)

    @property
    def is_there(self) -> bool:
        """Whether this server can tell keys from what is none."""
        return self._settings.key_secret is not None or not self._settings.database_url

    def secret_of(self, webhook: str, generation: int) -> bytes:
        """Return one of the secrets of a webhook, which nobody stores."""
        return bytes.fromhex(self._mac("webhook", f"{webhook}\0{generation}"))

    @cached_property
    def mark(self) -> str:
        """What tells the secret from others."""
        return self._mac("mark", "")[:16]

    @cached_property
    def _secret(self) -> bytes:
        given = self._settings.key_secret
        if given is not None:
            return given.get_secret_value().encode()
        if self._settings.database_url:
            raise InvalidSettings(
                "keys and webhooks need RAIW_KEY_SECRET, the same for all servers of "
                "this database and for raiw keys: at least 32 characters, such as openssl rand "
                "-hex 32 prints"
            )
        path = self._settings.state_dir / _FILE
        try:
            return _kept(path)
        except OSError as error:
            raise InvalidSettings(
                f"the secret of keys cannot be kept in {path}: {error.strerror}; set "
                f"RAIW_KEY_SECRET, or choose another --state-dir"
            ) from None

    def _mac(self, purpose: str, text: str) -> str:
        message = f"raiw {purpose}\0{text}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


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
