"""What is stored instead of keys, so that whoever reads the database has none."""

import hashlib
import hmac
from functools import cached_property

from service.jobs.secret import server_secret
from service.settings import Settings


class Seal:
    """Computes what is stored instead of a key, and what a signed-in browser keeps instead of it.

    All servers of a deployment must have the same secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def digest(self, key: str) -> str:
        """Return what is stored of a key."""
        return self._mac("key", key)

    def proof(self, digest: str) -> str:
        """Return what a browser keeps of a key whose digest is stored."""
        return self._mac("session", digest)

    @cached_property
    def mark(self) -> str:
        """What tells the secret from others."""
        return self._mac("mark", "")[:16]

    @cached_property
    def _secret(self) -> bytes:
        return server_secret(self._settings)

    def _mac(self, purpose: str, text: str) -> str:
        message = f"raiw {purpose}\0{text}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
