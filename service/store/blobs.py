"""Uploaded files and uploads under way: the rows; the bytes lie in the artifact folder."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.store.tables import Blob, Upload


def find(session: Session, digest: str) -> Blob | None:
    """Return a stored blob."""
    return session.get(Blob, digest)


def add(session: Session, blob: Blob) -> Blob:
    """Record a file that lies in the artifact folder; return the row that was first."""
    try:
        with session.begin_nested():
            session.add(blob)
    except IntegrityError:
        return session.get_one(Blob, blob.digest)
    return blob


def find_upload(session: Session, upload_id: str) -> Upload | None:
    """Return an upload under way."""
    return session.get(Upload, upload_id)


def record_received(session: Session, upload_id: str, received: int, now: datetime) -> None:
    """Record how many bytes of an upload are on the disk."""
    session.execute(
        update(Upload).where(Upload.id == upload_id).values(received=received, touched_at=now)
    )


def remove_untouched(session: Session, before: datetime) -> Sequence[str]:
    """Remove the uploads without a byte since ``before``; return their ids."""
    return session.scalars(
        delete(Upload).where(Upload.touched_at < before).returning(Upload.id)
    ).all()
