"""Uploaded files and uploads under way: the rows; the bytes are in the artifact folder."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, String, and_, cast, delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store import objects
from service.store.files.artifacts import Artifacts
from service.store.tables import BlobRow, OutcomeRow, UploadRow


def owned(owner: str, digest: str) -> ColumnElement[bool]:
    """Tell an owner's blob: the condition of every statement that clients cause."""
    return and_(BlobRow.owner_id == owner, BlobRow.digest == digest)


def find(session: Session, owner: str, digest: str) -> BlobRow | None:
    """Return what is known about an owner's blob, whether or not its file exists."""
    return session.scalar(select(BlobRow).where(owned(owner, digest)))


def stored(session: Session, artifacts: Artifacts, owner: str, digest: str) -> BlobRow | None:
    """Return an owner's blob whose file exists: the row alone is no guarantee."""
    blob = find(session, owner, digest)
    return blob if blob is not None and artifacts.has(digest, blob.size) else None


def add(
    session: Session, artifacts: Artifacts, blob: BlobRow, store: Callable[[], object]
) -> BlobRow:
    """Record a file in the artifact folder for its owner; return the row that was first.

    ``store`` puts the file back if it has been removed since.
    """
    objects.vouch(session, artifacts, blob.digest, store)
    try:
        with session.begin_nested():
            session.add(blob)
    except IntegrityError:
        return session.get_one(BlobRow, (blob.owner_id, blob.digest))
    return blob


def remove(session: Session, owner: str, digest: str, now: datetime) -> str:
    """Forget an owner's blob and every key whose result it belongs to; return the file it leaves.

    The caller has seized the digest, and discards the file after the commit.
    """
    del now  # the jobs that name a blob say all there is to say about it
    session.execute(delete(OutcomeRow).where(_names(owner, digest)))
    session.execute(delete(BlobRow).where(owned(owner, digest)))
    return digest


def is_result(session: Session, owner: str, digest: str) -> bool:
    """Whether an owner's blob is the result of a key, so that it can be made again."""
    return bool(session.scalar(select(exists().where(_names(owner, digest)))))


def forget_result(session: Session, owner: str, content_key: str) -> None:
    """Forget the result of an owner's key."""
    key = OutcomeRow.owner_id == owner, OutcomeRow.content_key == content_key
    session.execute(delete(OutcomeRow).where(*key))


def _names(owner: str, digest: str) -> ColumnElement[bool]:
    text = cast(OutcomeRow.document, String)
    return and_(OutcomeRow.owner_id == owner, text.contains(digest))


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
