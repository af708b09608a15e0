"""Who asks, and what he may do: owners, callers and scopes."""

from dataclasses import dataclass
from enum import StrEnum

LOCAL = "local"
"""The owner of everything that is asked for without a key, and of what older versions stored."""
NOBODY = ""
"""The owner of nothing: what is scoped to it finds no row."""


class Scope(StrEnum):
    """What a key allows; every route declares the one it needs."""

    PUBLIC = "public"
    """Nothing is asked for: no key has this scope, and none is needed."""
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
    KEYS_ADMIN = "keys:admin"
    """Create, list, rotate and revoke the keys of all owners."""


SCOPES = frozenset(Scope) - {Scope.PUBLIC}
"""All that a key can allow."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has sent a request: quotas go by ``owner_id``, rate limits by ``key_id``."""

    owner_id: str
    owner_name: str
    scopes: frozenset[Scope]
    key_id: str | None = None
    """The key that was shown; None for ``RAIW_TOKEN``, and where none is needed."""


LOCAL_CALLER = Caller(LOCAL, LOCAL, SCOPES)
"""Whoever needs no key, or has the one token of all."""
