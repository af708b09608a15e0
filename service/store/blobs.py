"""Uploaded files and uploads under way: the rows; the bytes are in the artifact folder."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, String, cast, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store import objects
from service.store.artifacts import Artifacts
from service.store.tables import BlobRow, OutcomeRow, UploadRow


def find(session: Session, digest: str) -> BlobRow | None:
    """Return what is known about a blob, whether or not its file exists."""
    return session.get(BlobRow, digest)


def stored(session: Session, artifacts: Artifacts, digest: str) -> BlobRow | None:
    """Return a blob whose file exists: the row alone is no guarantee."""
    blob = find(session, digest)
    return blob if blob is not None and artifacts.has(digest, blob.size) else None


def add(
    session: Session, artifacts: Artifacts, blob: BlobRow, store: Callable[[], object]
) -> BlobRow:
    """Record a file in the artifact folder; return the row that was first.

    ``store`` puts the file back if it has been removed since.
    """
    objects.vouch(session, artifacts, blob.digest, store)
    try:
        with session.begin_nested():
            session.add(blob)
    except IntegrityError:
        return session.get_one(BlobRow, blob.digest)
    return blob


def remove(session: Session, digest: str, now: datetime) -> str:
    """Forget a blob and every key whose result it belongs to; return the file it leaves.

    The caller has seized the digest, and discards the file after the commit.
    """
    del now  # the jobs that name a blob say all there is to say about it
    session.execute(delete(OutcomeRow).where(_names(digest)))
    session.execute(delete(BlobRow).where(BlobRow.digest == digest))
    return digest


def is_result(session: Session, digest: str) -> bool:
    """Whether a blob is the result of a key, so that it can be made again."""
    return bool(session.scalar(select(exists().where(_names(digest)))))


def forget_result(session: Session, content_key: str) -> None:
    """Forget the result of a key."""
    session.execute(delete(OutcomeRow).where(OutcomeRow.content_key == content_key))


def _names(digest: str) -> ColumnElement[bool]:
    return cast(OutcomeRow.document, String).contains(digest)


def find_upload(session: Session, owner: str, upload_id: str) -> UploadRow | None:
    """Return an owner's upload under way."""
    query = select(UploadRow).where(UploadRow.owner_id == owner, UploadRow.id == upload_id)
    return session.scalar(query)


def record_received(session: Session, upload_id: str, received: int, now: datetime) -> None:
    """Record how many bytes of an upload are on the disk."""
    session.execute(
        update(UploadRow).where(UploadRow.id == upload_id).values(received=received, touched_at=now)
    )


def remove_untouched(session: Session, before: datetime) -> Sequence[str]:
    """Remove uploads that have received nothing since ``before``; return their ids."""
    return session.scalars(
        delete(UploadRow).where(UploadRow.touched_at < before).returning(UploadRow.id)
    ).all()
