"""What the janitor does now and then: remove everything whose time is over."""

import random
from collections.abc import Iterator
from datetime import timedelta

from service.jobs.keeping import remove_expired
from service.jobs.services import Services
from service.store import deliveries, objects, recovery, repeats

_REPEATED = timedelta(hours=24)
"""How long the same request under the same ``Idempotency-Key`` has the same answer."""
_MEASURING = timedelta(seconds=30)
_MOST_MEASUREMENTS = 3
_GRACE_SECONDS = 86400.0
"""A file that no row names yet may be about to be named."""


def keep_house(services: Services) -> None:
    """Remove what has outlived its time, and what crashes have left in one of 256 folders."""
    database = services.database
    kept = timedelta(seconds=services.settings.keep_jobs_seconds)
    for forget, after in (
        (recovery.forget, kept),
        (deliveries.forget, kept),
        (repeats.forget, _REPEATED),
    ):
        forgotten = recovery.BATCH
        while forgotten == recovery.BATCH:
            with database.write() as session:
                forgotten = forget(session, database.now(session) - after, recovery.BATCH)
    with database.write() as session:
        recovery.remeasure(session, database.now(session), _MEASURING, _MOST_MEASUREMENTS)
    remove_expired(services)
    for digest in orphans(services, f"{random.randrange(256):02x}"):  # noqa: S311 -- guards nothing
        objects.discard(services.database, services.artifacts, digest)


def orphans(services: Services, folder: str = "*") -> Iterator[str]:
    """Yield files of ``sha256/<folder>`` that no row names, left behind by a crash.

    Young ones are skipped, as they may be about to be named. A row may have named a file since it
    was yielded, so discard it; do not delete it.
    """
    for digest, age in services.artifacts.digests(folder):
        if age > _GRACE_SECONDS:
            with services.database.read() as session:
                named = objects.is_named(session, digest)
            if not named:
                yield digest
