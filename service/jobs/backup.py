"""Backups of a running service: its rows as they are at one moment, then the files they name.

A file is copied after the rows that name it were read. If it is removed in between, the backup
lacks it, and says so; whoever asks for it after a restore gets it made again, as after any loss.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Connection, func, select

from raiw.errors import InvalidInput, NotFound
from service.contract.errors import DigestMismatch
from service.jobs.services import Services
from service.settings import Settings
from service.store import migrate, rows
from service.store.artifacts import Artifacts
from service.store.backups import Backup, Backups
from service.store.database import Database, Patience
from service.store.tables import BlobRow, JobRow, MaskChunkRow, MasksRow

OnCopied = Callable[[int, str], None]
"""Told how many objects have been copied or found there, and which was the last."""
ROWS = "rows.sqlite"


@dataclass(frozen=True, slots=True)
class File:
    """A file that rows name, and how to read it."""

    digest: str
    size: int
    read: Callable[[], Iterator[bytes]]


def take(
    services: Services, backups: Backups, folder: Path, on_progress: OnCopied
) -> tuple[str, Backup]:
    """Back a service up; return the name of the backup, and what belongs to it.

    Files that the place of the backups has are not copied again. ``folder`` is for files on their
    way.

    Raises
    ------
    Busy, UnfitDatabase
        The database is not at the revision of this version of raiw.
    """
    database = patient(services.settings)
    lost: list[str] = []
    copied: dict[str, int] = {}
    try:
        migrate.require_compatible(database)
        revision = migrate.require_newest(database)
        with rows.snapshot(database) as connection:
            began = datetime.now(UTC)
            taken = _rows(connection, folder / ROWS)
            for file in _files(services, connection):
                try:
                    put(backups.artifacts, file)
                    copied[file.digest] = file.size
                except (NotFound, DigestMismatch):
                    lost.append(file.digest)
                on_progress(len(copied) + len(lost), file.digest)
            jobs = connection.scalar(select(func.count()).select_from(JobRow)) or 0
    finally:
        database.close()
    backup = Backup(
        raiw=version("raiw"),
        taken_at=began.isoformat(timespec="seconds"),
        revision=revision,
        rows=_store(backups.artifacts, taken),
        jobs=jobs,
        objects=copied,
        lost=sorted(lost),
    )
    name = f"{began:%Y%m%dT%H%M%S.%fZ}"
    backups.write(name, backup)
    return name, backup


def count(services: Services) -> int:
    """Return about how many files a backup holds."""
    with services.database.read() as session:
        there = select(func.count()).where(MasksRow.removed_at.is_(None))
        blobs = select(func.count()).select_from(BlobRow)
        return (session.scalar(there) or 0) + (session.scalar(blobs) or 0)


def patient(settings: Settings) -> Database:
    """Open a database for statements that may take long."""
    ordinary = Patience.of(settings)
    return Database(settings, Patience(ordinary.connect, ordinary.lock, statement=0))


def row_file(path: Path) -> Database:
    """Open the SQLite database of a backup."""
    return Database(Settings(database_url=f"sqlite:///{path}", state_dir=path.parent))


def put(artifacts: Artifacts, file: File) -> None:
    """Store a file unless it is there.

    Raises
    ------
    NotFound, DigestMismatch
        Its bytes are gone, or are not those of its digest.
    """
    if artifacts.has(file.digest, file.size):
        return
    with artifacts.stage(file.size) as staged:
        for piece in file.read():
            staged.write(piece)
        staged.keep(file.digest)


def _rows(source: Connection, path: Path) -> Path:
    """Write the rows of a snapshot into one file."""
    target = row_file(path)
    migrate.upgrade(target)
    with target.engine.connect().execution_options(raiw_write=True) as connection:
        rows.copy(source, connection)
        connection.commit()
    with target.engine.connect() as connection:
        connection.connection.execute("PRAGMA journal_mode=DELETE")  # one file, not three
    target.close()
    return path


def _files(services: Services, connection: Connection) -> Iterator[File]:
    """Yield the files that rows name, whether they lie in the store or in rows themselves."""
    artifacts = services.artifacts
    blobs = connection.execute(select(BlobRow.digest, BlobRow.size).distinct()).all()
    masks = connection.execute(
        select(
            *(MasksRow.owner_id, MasksRow.digest, MasksRow.chunks),
            *(MasksRow.file_sha256, MasksRow.size),
        ).where(MasksRow.removed_at.is_(None))
    ).all()
    for file, size in blobs:
        yield File(file, size, partial(artifacts.read, file, 0, size))
    for owner, digest, chunks, file, size in masks:
        if chunks:
            yield File(file, size, partial(_chunks, connection, owner, digest, chunks))
        else:
            yield File(file, size, partial(artifacts.read, file, 0, size))


def _chunks(connection: Connection, owner: str, digest: str, chunks: int) -> Iterator[bytes]:
    of_masks = select(MaskChunkRow.data).where(
        MaskChunkRow.owner_id == owner, MaskChunkRow.digest == digest
    )
    for number in range(chunks):
        data = connection.scalar(of_masks.where(MaskChunkRow.number == number))
        if data is None:
            raise NotFound(f"the masks {digest} lack a part")
        yield data


def _store(artifacts: Artifacts, path: Path) -> str:
    """Store a file from outside the store; return its digest."""
    with artifacts.stage(path.stat().st_size) as staged, path.open("rb") as file:
        while piece := file.read(1 << 20):
            staged.write(piece)
        digest = staged.digest()
        staged.keep(digest)
    return digest


def require_place(place: str, settings: Settings) -> None:
    """Refuse to keep backups among the objects that they are to save.

    Raises
    ------
    InvalidInput
        The place is the store of the service.
    """
    own = settings.objects or str(settings.artifacts)
    if place.rstrip("/") == own:
        raise InvalidInput(f"{place} is the store of this service: keep backups somewhere else")
