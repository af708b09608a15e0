"""Stored masks: one row a set of masks, its file in rows of 1 MiB or in the artifact folder."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.canonical import CHUNK_BYTES, digest_of
from raiw.errors import NotFound
from service.store.artifacts import Artifacts
from service.store.database import Database
from service.store.tables import MaskChunk, Masks


def find(session: Session, digest: str) -> Masks | None:
    """Return a stored set of masks by its content digest."""
    return session.get(Masks, digest)


def add(
    session: Session,
    artifacts: Artifacts,
    *,
    digest: str,
    file: bytes,
    document: dict[str, Any],
    in_database_bytes: int,
    now: datetime,
) -> None:
    """Store masks inside the caller's transaction; equal masks are stored once.

    A file above ``in_database_bytes`` goes to the artifact folder, on the disk before the row that
    names it exists: a row never points at nothing.
    """
    if find(session, digest) is not None:
        return
    in_database = len(file) <= in_database_bytes
    if not in_database:
        artifacts.put(file)
    row = Masks(
        digest=digest,
        file_sha256=digest_of(file),
        size=len(file),
        chunks=-(-len(file) // CHUNK_BYTES) if in_database else 0,
        document=document,
        created_at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return  # another worker stored the same masks since we looked
    for number in range(row.chunks):
        data = file[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        session.add(MaskChunk(digest=digest, number=number, data=data))


def uses(session: Session, artifact: str) -> bool:
    """Whether a stored set of masks is kept in this artifact."""
    found = select(Masks.digest).where(Masks.file_sha256 == artifact, Masks.chunks == 0).limit(1)
    return session.scalar(found) is not None


def ask_to_measure(session: Session, digest: str) -> bool:
    """Note that somebody wants the statistics; True for the first who does."""
    asked = session.scalar(
        update(Masks)
        .where(Masks.digest == digest, Masks.statistics.is_(None), Masks.measure_attempts == 0)
        .values(measure_attempts=1)
        .returning(Masks.digest)
    )
    return asked is not None


def set_statistics(session: Session, digest: str, statistics: dict[str, Any]) -> None:
    """Attach the statistics a worker has measured."""
    session.execute(update(Masks).where(Masks.digest == digest).values(statistics=statistics))


def stream(
    database: Database, artifacts: Artifacts, row: Masks, start: int, stop: int
) -> Iterator[bytes]:
    """Yield bytes ``start`` to ``stop`` of a mask file.

    Each chunk is read in a session of its own, so that a slow client holds no connection.

    Raises
    ------
    NotFound
        The masks were removed meanwhile.
    """
    if row.chunks == 0:
        yield from artifacts.read(row.file_sha256, start, stop)
        return
    while start < stop:
        number, skip = divmod(start, CHUNK_BYTES)
        with database.read() as session:
            data = session.scalar(
                select(MaskChunk.data).where(
                    MaskChunk.digest == row.digest, MaskChunk.number == number
                )
            )
        if data is None:
            raise NotFound(f"the masks {row.digest} were removed")
        piece = data[skip : skip + stop - start]
        yield piece
        start += len(piece)
