"""Who asks, and what he may do: owners, callers and scopes."""

from dataclasses import dataclass
from enum import StrEnum

from raiw.canonical import digest_of_json
from service.contract.errors import Forbidden

LOCAL = "local"
"""The owner of everything that is asked for without a key, and of what older versions stored."""
NOBODY = ""
"""The owner of nothing: what is scoped to it finds no row."""


def own_key(owner: str, key: str) -> str:
    """Return a key of which no other owner finds what is kept under it: runs and units.

    What is local keeps its key, so that work begun by an older version goes on.
    """
    return key if owner == LOCAL else digest_of_json([owner, key])


class Scope(StrEnum):
    """What a key allows; every route declares the one it needs."""

    JOBS_READ = "jobs:read"
    """Jobs, their events, plans, and what a spec or a job may name."""
    JOBS_WRITE = "jobs:write"
    """Ask for jobs and cancel them."""
    MASKS_READ = "masks:read"
    """Crafted masks and their statistics."""
    MASKS_WRITE = "masks:write"
    """Pin and remove masks."""
    UPLOADS_READ = "uploads:read"
    """Uploaded files, the files that jobs made, and uploads under way."""
    UPLOADS_WRITE = "uploads:write"
    """Upload, pin and remove files."""
    WEBHOOKS_READ = "webhooks:read"
    """Webhooks and what was sent to them."""
    WEBHOOKS_WRITE = "webhooks:write"
    """Register, enable and remove webhooks, rotate their secrets, send messages again."""
    SYSTEM_READ = "system:read"
    """Workers, queues, versions and disks of the whole deployment."""
    KEYS_ADMIN = "keys:admin"
    """Create, list, rotate and revoke the keys of all owners."""


class Unscoped(StrEnum):
    """What a route declares that needs no scope."""

    PUBLIC = "public"
    """It asks for nothing."""
    ANY = "any"
    """Any key that is valid will do, whatever it allows."""


SCOPES = frozenset(Scope)
"""All that a key can allow."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has sent a request: quotas go by ``owner_id``, rate limits by ``key_id``."""

    owner_id: str
    owner_name: str
    scopes: frozenset[Scope]
    key_id: str | None = None
    """The key that was shown; None for ``RAIW_TOKEN``, and where none is needed."""

    def require(self, scope: Scope) -> None:
        """Make sure that the caller has a scope.

        Raises
        ------
        Forbidden
            Its key lacks it.
        """
        if scope not in self.scopes:
            raise Forbidden(
                f"the key {self.key_id} lacks the scope {scope}: use another, or ask whoever made "
                f"it",
                scope=scope,
            )


LOCAL_CALLER = Caller(LOCAL, LOCAL, SCOPES)
"""Whoever needs no key, or has the one token of all."""
