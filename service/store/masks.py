"""Stored masks: one row per set of masks, its file in rows of 1 MiB or in the artifact folder."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.canonical import CHUNK_BYTES, digest_of, digest_of_chunks
from raiw.errors import NotFound
from raiw.specs.dead import recorded_dead_units
from service.contract.queries import MasksQuery
from service.store import objects
from service.store.database import Database
from service.store.engines import BINARY
from service.store.files.artifacts import Artifacts, State
from service.store.tables import ASKED, JobRow, MaskChunkRow, MasksRow, ResultRow


def owned(owner: str, digest: str) -> ColumnElement[bool]:
    """Tell an owner's masks: the condition of every statement that clients cause."""
    return and_(MasksRow.owner_id == owner, MasksRow.digest == digest)


def find(session: Session, owner: str, digest: str) -> MasksRow | None:
    """Return what is known about an owner's masks, whether or not their bytes exist."""
    return session.scalar(select(MasksRow).where(owned(owner, digest)))


def stored(session: Session, artifacts: Artifacts, owner: str, digest: str) -> MasksRow | None:
    """Return an owner's masks whose bytes exist: the row alone is no guarantee."""
    row = find(session, owner, digest)
    return row if row is not None and _are_there(session, artifacts, row) else None


def describe(session: Session, row: MasksRow) -> None:
    """Load the document and the statistics of masks, which are large and seldom needed."""
    session.refresh(row, ["document", "statistics", "dead_units"])


def page(
    session: Session,
    owner: str,
    wanted: MasksQuery,
    before: tuple[datetime, str] | None,
    size: int,
) -> Sequence[RowMapping]:
    """Return up to ``size`` rows about an owner's masks, newest first, without their documents."""
    name = MasksRow.document["spec"]["name"].as_string()
    algorithm, scores = (
        MasksRow.document[field].as_string() for field in ("algorithm", "importance")
    )
    query = select(
        *(MasksRow.digest, MasksRow.file_sha256, MasksRow.size.label("bytes")),
        *(MasksRow.created_at, MasksRow.used_at, MasksRow.pinned),
        *(func.coalesce(name, "").label("name"), algorithm.label("algorithm")),
        scores.label("importance"),
    ).where(MasksRow.owner_id == owner, MasksRow.removed_at.is_(None))
    if wanted.digest is not None:
        query = query.where(MasksRow.digest.startswith(wanted.digest))
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


def add(  # noqa: PLR0913 -- what a row holds
    session: Session,
    artifacts: Artifacts,
    *,
    owner: str,
    digest: str,
    file: bytes,
    document: dict[str, Any],
    in_database_bytes: int,
    now: datetime,
) -> None:
    """Store an owner's masks inside the caller's transaction; equal ones are stored once.

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
    if not _claim_row(session, artifacts, owner, digest, content):
        return
    if not in_database:
        objects.vouch(session, artifacts, digest_of(file), lambda: artifacts.put(file))
    session.execute(delete(MaskChunkRow).where(_chunks(owner, digest)))
    for number, start in enumerate(range(0, len(file) if in_database else 0, CHUNK_BYTES)):
        data = file[start : start + CHUNK_BYTES]
        session.add(MaskChunkRow(owner_id=owner, digest=digest, number=number, data=data))


def copy(session: Session, artifacts: Artifacts, row: MasksRow, owner: str, now: datetime) -> None:
    """Give another owner masks of his own; the caller holds them and has seen that they exist."""
    describe(session, row)
    kept = ("file_sha256", "size", "chunks", "document", "dead_units", "statistics")
    content = {name: getattr(row, name) for name in kept}
    content |= {"created_at": now, "used_at": now, "removed_at": None}
    if not _claim_row(session, artifacts, owner, row.digest, content):
        return
    if row.chunks == 0:
        objects.hold(session, row.file_sha256)
    session.execute(delete(MaskChunkRow).where(_chunks(owner, row.digest)))
    chunks = select(literal(owner), MaskChunkRow.digest, MaskChunkRow.number, MaskChunkRow.data)
    session.execute(
        insert(MaskChunkRow).from_select(
            ["owner_id", "digest", "number", "data"],
            chunks.where(_chunks(row.owner_id, row.digest)),
        )
    )


def _claim_row(
    session: Session, artifacts: Artifacts, owner: str, digest: str, content: dict[str, Any]
) -> bool:
    """Write the row of masks whose bytes are missing; False if they are not."""
    row = _lock(session, owner, digest)
    if row is None:
        try:
            with session.begin_nested():
                session.add(MasksRow(owner_id=owner, digest=digest, **content))
        except IntegrityError:
            return False  # another worker has stored the same masks since we looked
        return True
    if _are_there(session, artifacts, row):
        return False
    session.execute(update(MasksRow).where(owned(owner, digest)).values(**content))
    return True


def remove(session: Session, owner: str, digest: str, now: datetime) -> str | None:
    """Remove the bytes of an owner's masks and every key of his that leads to them.

    Returns the artifact they leave: the caller has seized the digest, and discards the artifact
    after the commit. The row stays for the jobs that name it, which tell what there was.
    """
    row = _lock(session, owner, digest)
    if row is None:
        return None
    session.execute(delete(MaskChunkRow).where(_chunks(owner, digest)))
    named = ResultRow.owner_id == owner, ResultRow.mask_digest == digest
    session.execute(delete(ResultRow).where(*named))
    session.execute(update(MasksRow).where(owned(owner, digest)).values(removed_at=now))
    return None if row.chunks else row.file_sha256


def forget_removed(session: Session) -> None:
    """Forget removed masks that no job names any more."""
    named = exists().where(
        JobRow.owner_id == MasksRow.owner_id, JobRow.mask_digest == MasksRow.digest
    )
    session.execute(delete(MasksRow).where(MasksRow.removed_at.is_not(None), ~named))


def _chunks(owner: str, digest: str) -> ColumnElement[bool]:
    return and_(MaskChunkRow.owner_id == owner, MaskChunkRow.digest == digest)


def _lock(session: Session, owner: str, digest: str) -> MasksRow | None:
    row = select(MasksRow).where(owned(owner, digest)).with_for_update()
    return session.scalar(row.execution_options(populate_existing=True))


def _are_there(session: Session, artifacts: Artifacts, row: MasksRow) -> bool:
    if row.removed_at is not None:
        return False
    if row.chunks == 0:
        return artifacts.has(row.file_sha256, row.size)
    counted = select(func.count()).where(_chunks(row.owner_id, row.digest))
    return session.scalar(counted) == row.chunks


def ask_to_measure(session: Session, owner: str, digest: str) -> bool:
    """Note that somebody wants the statistics; True for the first request."""
    asked = session.scalar(
        update(MasksRow)
        .where(owned(owner, digest), MasksRow.statistics.is_(None), MasksRow.measure_attempts == 0)
        .values(measure_attempts=1)
        .returning(MasksRow.digest)
    )
    return asked is not None


def to_measure(session: Session, artifacts: Artifacts, digest: str) -> MasksRow | None:
    """Return masks of which somebody wants statistics that nobody has measured yet."""
    wanted = session.scalars(select(MasksRow).where(MasksRow.digest == digest, ASKED))
    return next((row for row in wanted if _are_there(session, artifacts, row)), None)


def set_statistics(session: Session, digest: str, statistics: dict[str, Any]) -> None:
    """Give the statistics that a worker has measured to everybody who has asked for them."""
    asked = update(MasksRow).where(MasksRow.digest == digest, ASKED)
    session.execute(asked.values(statistics=statistics))


def inspect(database: Database, artifacts: Artifacts, row: MasksRow) -> State:
    """Compare a mask file with its digest; one that was found sound is not read twice.

    Rows with the same owner, digest and time do not change, so these identify a file in the
    database.
    """
    if row.chunks == 0:
        return artifacts.inspect(row.file_sha256)
    return _inspect_chunks(database, artifacts, row)


def vet(database: Database, artifacts: Artifacts, row: MasksRow) -> State:
    """Judge a mask file that is about to be served."""
    if row.chunks == 0:
        return artifacts.vet(row.file_sha256)
    return _inspect_chunks(database, artifacts, row)


def _inspect_chunks(database: Database, artifacts: Artifacts, row: MasksRow) -> State:
    known = f"{row.owner_id}/{row.digest}", row.created_at
    if known in database.sound:
        return State.SOUND
    try:
        read = digest_of_chunks(stream(database, artifacts, row, 0, row.size))
    except NotFound:
        return State.MISSING
    if read != row.file_sha256:
        return State.DAMAGED
    database.sound.add(known)
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
                    _chunks(row.owner_id, row.digest), MaskChunkRow.number == number
                ),
                execution_options={BINARY: True},
            )
        if data is None:
            raise NotFound(f"the masks {row.digest} were removed")
        piece = data[skip : skip + stop - start]
        yield piece
        start += len(piece)
