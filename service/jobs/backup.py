"""Backups of a running service: its rows as they are at one moment, then the files they name.

A file is copied after the rows that name it were read. If it is removed in between, the backup
lacks it, and says so; whoever asks for it after a restore gets it made again, as after any loss.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from raiw.errors import InvalidInput, NotFound
from service.contract.errors import DigestMismatch
from service.jobs.services import Services
from service.settings import Settings
from service.store import migrate, named, rows
from service.store.backups import Backup, Backups
from service.store.database import Database
from service.store.engines import Patience
from service.store.files.artifacts import Artifacts
from service.store.named import Named, Rows

OnCopied = Callable[[int, str], None]
"""Told how many objects have been copied or found there, and which was the last."""
ROWS = "rows.sqlite"


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
            for file in named.files(connection):
                if file.chunks:
                    read = partial(named.read, connection, file)
                else:
                    read = partial(services.artifacts.read, file.digest, 0, file.size)
                try:
                    put(backups.artifacts, file, read)
                    copied[file.digest] = file.size
                except (NotFound, DigestMismatch):
                    lost.append(file.digest)
                on_progress(len(copied) + len(lost), file.digest)
            jobs = named.count_jobs(connection)
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
        return named.count_files(session)


def patient(settings: Settings) -> Database:
    """Open a database for statements that may take long."""
    ordinary = Patience.of(settings)
    return Database(settings, Patience(ordinary.connect, ordinary.lock, statement=0))


def row_file(path: Path) -> Database:
    """Open the SQLite database of a backup."""
    return Database(Settings(database_url=f"sqlite:///{path}", state_dir=path.parent))


def put(artifacts: Artifacts, file: Named, read: Callable[[], Iterator[bytes]]) -> None:
    """Store a file unless it is there; ``read`` yields its bytes.

    Raises
    ------
    NotFound, DigestMismatch
        Its bytes are gone, or are not those of its digest.
    """
    if artifacts.has(file.digest, file.size):
        return
    with artifacts.stage(file.size) as staged:
        for piece in read():
            staged.write(piece)
        staged.keep(file.digest)


def _rows(source: Rows, path: Path) -> Path:
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
