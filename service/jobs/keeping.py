"""The life of stored objects: used, pinned, removed on request or when their time is over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from raiw.errors import NotFound
from service.contract.errors import InUse
from service.jobs.services import Services
from service.store import blobs, masks, objects, recovery, units
from service.store.files.artifacts import Artifacts
from service.store.objects import KeptTable
from service.store.tables import BlobRow, MasksRow

_MOST_EXPIRED = 1000
"""How many objects of a kind are removed in one go."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects that clients read, pin and remove."""

    name: str
    url: str
    table: KeptTable
    find: Callable[[Session, Artifacts, str, str], BlobRow | MasksRow | None]
    """Return one of an owner that is there."""
    remove: Callable[[Session, str, str, datetime], str | None]
    """Remove the rows of an owner's one; return the file to discard after the commit."""


BLOBS = Kind("blob", "/v1/blobs", BlobRow, blobs.stored, blobs.remove)
MASKS = Kind("masks", "/v1/masks", MasksRow, masks.stored, masks.remove)


def note_use(services: Services, kind: Kind, digest: str, used_at: datetime | None) -> None:
    """Note that an object is read, unless that was noted within the last hour."""
    if used_at is None or used_at < datetime.now(UTC) - objects.SPARSE:
        with services.database.write() as session:
            now = services.database.now(session)
            objects.use(session, kind.table, services.owner, [digest], now)


def remove(services: Services, kind: Kind, digest: str) -> None:
    """Remove an object of the owner; one that is not there is removed already.

    Raises
    ------
    InUse
        It is pinned, or a job that has not ended needs it.
    """
    with services.database.write() as session:
        objects.seize(session, digest)
        row = session.get(kind.table, (services.owner, digest))
        if row is not None and row.pinned:
            raise InUse(
                f"the {kind.name} {digest} is pinned and cannot be removed: "
                f"DELETE {kind.url}/{digest}/pin first"
            )
        if job_id := objects.needed_by(session, services.owner, digest):
            raise InUse(
                f"the {kind.name} {digest} cannot be removed: job {job_id} needs it; wait for "
                f"its end, or cancel it",
                job_id=job_id,
            )
        file = kind.remove(session, services.owner, digest, services.database.now(session))
    _discard(services, file)


def remove_damaged_masks(services: Services, row: MasksRow) -> None:
    """Remove masks whose bytes were found damaged, unless they have been made again since."""
    with services.database.write() as session:
        objects.seize(session, row.digest)
        now = masks.find(session, row.owner_id, row.digest)
        if now is None or now.created_at != row.created_at:
            return
        file = masks.remove(session, row.owner_id, row.digest, services.database.now(session))
    _discard(services, file)


def pin(services: Services, kind: Kind, digest: str, *, pinned: bool) -> None:
    """Pin an object, to keep it however long it goes unused, or unpin it.

    Raises
    ------
    NotFound
        It is not stored.
    """
    with services.database.write() as session:
        objects.hold(session, digest)
        if kind.find(session, services.artifacts, services.owner, digest) is None:
            raise NotFound(f"no {kind.name} {digest} is stored")
        objects.pin(session, kind.table, services.owner, digest, pinned=pinned)


def make_room(services: Services, size: int) -> None:
    """Refuse what does not fit on the disk even after everything expired is removed.

    Raises
    ------
    DiskFull
        The disk would fall below the space that must stay free.
    """
    if size > services.artifacts.free_bytes():
        remove_expired(services)
    services.artifacts.require_space(size)


def remove_expired(services: Services) -> None:
    """Remove uploads, units, blobs, masks and runs that nobody has used for their time."""
    settings, artifacts = services.settings, services.artifacts
    _expire(services, BLOBS, settings.keep_blobs_seconds)
    _expire(services, MASKS, settings.keep_masks_seconds)
    with services.database.write() as session:
        now = services.database.now(session)
        given_up = blobs.remove_untouched(session, now - _span(settings.keep_uploads_seconds))
        files = units.forget(session, now - _span(settings.keep_units_seconds))
        masks.forget_removed(session)
        unfinished = recovery.unfinished_keys(session)
    for upload_id in given_up:
        artifacts.discard(upload_id)
    for file in files:
        _discard(services, file)
    artifacts.sweep(settings.keep_uploads_seconds)
    artifacts.sweep_runs(settings.keep_runs_seconds, unfinished)


def _expire(services: Services, kind: Kind, seconds: float) -> None:
    if not seconds:
        return
    with services.database.read() as session:
        before = services.database.now(session) - _span(seconds)
        expired = objects.expired(session, kind.table, before, _MOST_EXPIRED)
    for owner, digest in expired:
        with services.database.write() as session:
            objects.seize(session, digest)
            now = services.database.now(session)
            file = None
            if objects.needed_by(session, owner, digest):
                objects.use(session, kind.table, owner, [digest], now)
            elif objects.has_expired(session, kind.table, owner, digest, before):  # still, as ours
                file = kind.remove(session, owner, digest, now)
        _discard(services, file)


def _discard(services: Services, file: str | None) -> None:
    if file is not None:
        objects.discard(services.database, services.artifacts, file)


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
