"""Stored masks: one row per set of masks, its file in rows of 1 MiB or in the artifact folder."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, exists, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.canonical import CHUNK_BYTES, digest_of, digest_of_chunks
from raiw.errors import NotFound
from raiw.specs.dead import recorded_dead_units
from service.contract.queries import MasksQuery
from service.store import objects
from service.store.artifacts import Artifacts, State
from service.store.database import BINARY, Database
from service.store.tables import JobRow, MaskChunkRow, MasksRow, ResultRow


def find(session: Session, digest: str) -> MasksRow | None:
    """Return what is known about masks by content digest, whether or not their bytes exist."""
    return session.get(MasksRow, digest)


def stored(session: Session, artifacts: Artifacts, digest: str) -> MasksRow | None:
    """Return masks whose bytes exist: the row alone is no guarantee."""
    row = find(session, digest)
    return row if row is not None and _are_there(session, artifacts, row) else None


def describe(session: Session, row: MasksRow) -> None:
    """Load the document and the statistics of masks, which are large and seldom needed."""
    session.refresh(row, ["document", "statistics"])


def page(
    session: Session, wanted: MasksQuery, before: tuple[datetime, str] | None, size: int
) -> Sequence[RowMapping]:
    """Return up to ``size`` rows about masks, newest first, without their documents."""
    name = MasksRow.document["spec"]["name"].as_string()
    algorithm, scores = (
        MasksRow.document[field].as_string() for field in ("algorithm", "importance")
    )
    query = select(
        *(MasksRow.digest, MasksRow.file_sha256, MasksRow.size.label("bytes")),
        *(MasksRow.created_at, MasksRow.used_at, MasksRow.pinned),
        *(func.coalesce(name, "").label("name"), algorithm.label("algorithm")),
        scores.label("importance"),
    ).where(MasksRow.removed_at.is_(None))
    if wanted.name is not None:
        query = query.where(func.coalesce(name, "") == wanted.name)
    if wanted.algorithm is not None:
        query = query.where(algorithm == wanted.algorithm)
    if wanted.importance is not None:
        query = query.where(scores == wanted.importance)
    if wanted.pinned is not None:
        query = query.where(MasksRow.pinned.is_(wanted.pinned))
    if wanted.created_after is not None:
        query = query.where(MasksRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(MasksRow.created_at < wanted.created_before)
    if before is not None:
        query = query.where(tuple_(MasksRow.created_at, MasksRow.digest) < tuple_(*before))
    ordered = query.order_by(MasksRow.created_at.desc(), MasksRow.digest.desc())
    return session.execute(ordered.limit(size)).mappings().all()


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

    A file above ``in_database_bytes`` goes to the artifact folder, and is on disk before the row
    that names it exists: a row never points at nothing. Masks whose bytes are gone get these bytes.
    """
    in_database = len(file) <= in_database_bytes
    content = {
        "file_sha256": digest_of(file),
        "size": len(file),
        "chunks": -(-len(file) // CHUNK_BYTES) if in_database else 0,
        "document": document,
        "dead_units": [units.model_dump() for units in recorded_dead_units(document["layers"])],
        "created_at": now,
        "used_at": now,
        "removed_at": None,
    }
    if not _claim_row(session, artifacts, digest, content):
        return
    if not in_database:
        objects.vouch(session, artifacts, digest_of(file), lambda: artifacts.put(file))
    session.execute(delete(MaskChunkRow).where(MaskChunkRow.digest == digest))
    for number, start in enumerate(range(0, len(file) if in_database else 0, CHUNK_BYTES)):
        data = file[start : start + CHUNK_BYTES]
        session.add(MaskChunkRow(digest=digest, number=number, data=data))


def _claim_row(
    session: Session, artifacts: Artifacts, digest: str, content: dict[str, Any]
) -> bool:
    """Write the row of masks whose bytes are missing; False if they are not."""
    row = _lock(session, digest)
    if row is None:
        try:
            with session.begin_nested():
                session.add(MasksRow(digest=digest, **content))
        except IntegrityError:
            return False  # another worker has stored the same masks since we looked
        return True
    if _are_there(session, artifacts, row):
        return False
    session.execute(update(MasksRow).where(MasksRow.digest == digest).values(**content))
    return True


def remove(session: Session, digest: str, now: datetime) -> str | None:
    """Remove the bytes of masks and every key that leads to them; return the artifact they leave.

    The caller has seized the digest, and discards the artifact after the commit. The row stays for
    the jobs that name it, which tell what there was.
    """
    row = _lock(session, digest)
    if row is None:
        return None
    session.execute(delete(MaskChunkRow).where(MaskChunkRow.digest == digest))
    session.execute(delete(ResultRow).where(ResultRow.mask_digest == digest))
    session.execute(update(MasksRow).where(MasksRow.digest == digest).values(removed_at=now))
    return None if row.chunks else row.file_sha256


def forget_removed(session: Session) -> None:
    """Forget removed masks that no job names any more."""
    named = exists().where(JobRow.mask_digest == MasksRow.digest)
    session.execute(delete(MasksRow).where(MasksRow.removed_at.is_not(None), ~named))


def _lock(session: Session, digest: str) -> MasksRow | None:
    row = select(MasksRow).where(MasksRow.digest == digest).with_for_update()
    return session.scalar(row.execution_options(populate_existing=True))


def _are_there(session: Session, artifacts: Artifacts, row: MasksRow) -> bool:
    if row.removed_at is not None:
        return False
    if row.chunks == 0:
        return artifacts.has(row.file_sha256, row.size)
    counted = select(func.count()).where(MaskChunkRow.digest == row.digest)
    return session.scalar(counted) == row.chunks


def ask_to_measure(session: Session, digest: str) -> bool:
    """Note that somebody wants the statistics; True for the first request."""
    asked = session.scalar(
        update(MasksRow)
        .where(
            MasksRow.digest == digest, MasksRow.statistics.is_(None), MasksRow.measure_attempts == 0
        )
        .values(measure_attempts=1)
        .returning(MasksRow.digest)
    )
    return asked is not None


def set_statistics(session: Session, digest: str, statistics: dict[str, Any]) -> None:
    """Attach the statistics a worker has measured."""
    session.execute(update(MasksRow).where(MasksRow.digest == digest).values(statistics=statistics))


def inspect(database: Database, artifacts: Artifacts, row: MasksRow) -> State:
    """Compare a mask file with its digest; a file that was found sound is not read twice.

    Rows with the same digest and time do not change, so these identify a file in the database.
    """
    if row.chunks == 0:
        return artifacts.inspect(row.file_sha256)
    if (row.digest, row.created_at) in database.sound:
        return State.SOUND
    try:
        read = digest_of_chunks(stream(database, artifacts, row, 0, row.size))
    except NotFound:
        return State.MISSING
    if read != row.file_sha256:
        return State.DAMAGED
    database.sound.add((row.digest, row.created_at))
    return State.SOUND


def stream(
    database: Database, artifacts: Artifacts, row: MasksRow, start: int, stop: int
) -> Iterator[bytes]:
    """Yield bytes ``start`` to ``stop`` of a mask file.

    Each chunk is read in a session of its own, so that a slow client holds no connection.

    Raises
    ------
    NotFound
        The masks were removed in the meantime.
    """
    if row.chunks == 0:
        yield from artifacts.read(row.file_sha256, start, stop)
        return
    while start < stop:
        number, skip = divmod(start, CHUNK_BYTES)
        with database.look() as session:
            data = session.scalar(
                select(MaskChunkRow.data).where(
                    MaskChunkRow.digest == row.digest, MaskChunkRow.number == number
                ),
                execution_options={BINARY: True},
            )
        if data is None:
            raise NotFound(f"the masks {row.digest} were removed")
        piece = data[skip : skip + stop - start]
        yield piece
        start += len(piece)
