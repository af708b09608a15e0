"""Restoring a backup into an empty deployment, of either kind of database and store.

Files come first, each compared with its digest; then all rows, in one transaction. A restore that
is killed leaves files that nothing names, and may be repeated.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.orm import Session

from raiw.canonical import CHUNK_BYTES
from raiw.errors import InvalidInput, NotFound
from service.contract.errors import DigestMismatch
from service.contract.jobs import HELD
from service.jobs.backup import ROWS, File, OnCopied, patient, put, row_file
from service.jobs.services import Services
from service.store import jobs, migrate, rows
from service.store.artifacts import Artifacts
from service.store.backups import Backup, Backups
from service.store.database import Database
from service.store.tables import BlobRow, JobRow, MaskChunkRow, MasksRow


@dataclass(slots=True)
class Restored:
    """What a restore has done."""

    jobs: int
    objects: int = 0
    requeued: int = 0
    lost: list[str] = field(default_factory=list)
    """Digests of files that the backup lacks, or whose bytes are damaged there."""

    def lines(self) -> list[str]:
        """Tell what was done and what is left to do."""
        told = [f"{self.jobs:,} jobs and {self.objects:,} files restored"]
        if self.requeued:
            told.append(f"{self.requeued:,} jobs that were running wait to run again")
        if self.lost:
            told += [f"lost: {digest}" for digest in self.lost]
            told.append("run raiw scrub: it says which of these somebody must send again")
        return told


def restore(
    services: Services,
    backups: Backups,
    backup: Backup,
    folder: Path,
    on_progress: OnCopied,
    *,
    force: bool,
) -> Restored:
    """Restore a backup; its tables are brought to the newest revision first.

    Raises
    ------
    InvalidInput
        Something is stored here, and ``force`` does not say to replace it.
    UnfitDatabase
        A newer version of raiw has written the backup.
    NotFound
        The backup's rows are gone or damaged.
    """
    migrate.migrate(services.settings)
    target = patient(services.settings)
    try:
        with target.engine.connect() as connection:
            if not force and rows.any_rows(connection):
                raise InvalidInput(
                    f"the database {target.engine.url!r} is not empty: restore into a new one, or "
                    f"replace what it holds with --force"
                )
        source = _opened_rows(backups, backup, folder / ROWS)
        try:
            return _restore(services, backups, backup, source, target, on_progress)
        finally:
            source.close()
    finally:
        target.close()


def _restore(
    services: Services,
    backups: Backups,
    backup: Backup,
    source: Database,
    target: Database,
    on_progress: OnCopied,
) -> Restored:
    done = Restored(backup.jobs, lost=list(backup.lost))
    with source.engine.connect() as rows_there:
        for file in _files(rows_there, backups.artifacts, backup):
            _attempt(partial(put, services.artifacts, file), file.digest, done)
            on_progress(done.objects + len(done.lost), file.digest)
        with target.engine.connect().execution_options(raiw_write=True) as here:
            rows.copy(rows_there, here)
            for row in rows_there.execute(_in_rows()).mappings().all():
                if row["file_sha256"] in backup.objects:
                    write = partial(_write_chunks, here, backups.artifacts, row)
                    _attempt(write, row["file_sha256"], done)
                    on_progress(done.objects + len(done.lost), row["file_sha256"])
            done.requeued = _requeue(here, target)
            here.commit()
    done.lost.sort()
    return done


def _opened_rows(backups: Backups, backup: Backup, path: Path) -> Database:
    """Fetch the rows of a backup, and bring them to the newest revision."""
    try:
        shutil.copyfile(backups.artifacts.verified(backup.rows), path)
    except NotFound:
        raise NotFound(
            f"the rows of the backup, {backup.rows}, are missing or damaged: choose another with "
            f"--at"
        ) from None
    source = row_file(path)
    try:
        migrate.upgrade_known(source)
    except BaseException:
        source.close()
        raise
    return source


def _files(source: Connection, artifacts: Artifacts, backup: Backup) -> list[File]:
    """Return the files that lie in the store, not in rows."""
    stored = select(MasksRow.file_sha256).where(MasksRow.chunks == 0, MasksRow.removed_at.is_(None))
    digests = {*source.scalars(select(BlobRow.digest)), *source.scalars(stored)}
    return [
        File(digest, size, partial(artifacts.read, digest, 0, size))
        for digest, size in backup.objects.items()
        if digest in digests
    ]


def _in_rows() -> Any:
    return select(MasksRow.owner_id, MasksRow.digest, MasksRow.file_sha256).where(
        MasksRow.chunks > 0, MasksRow.removed_at.is_(None)
    )


def _write_chunks(here: Connection, artifacts: Artifacts, row: Any) -> None:
    """Write a mask file into rows.

    Raises
    ------
    Damaged
        Its bytes are not those of its digest; nothing is written.
    """
    with artifacts.verified(row["file_sha256"]).open("rb") as file:
        for number, data in enumerate(iter(lambda: file.read(CHUNK_BYTES), b"")):
            chunk = {"owner_id": row["owner_id"], "digest": row["digest"], "number": number}
            here.execute(insert(MaskChunkRow), chunk | {"data": data})


def _attempt(act: Callable[[], None], digest: str, done: Restored) -> None:
    try:
        act()
        done.objects += 1
    except (NotFound, DigestMismatch):
        done.lost.append(digest)


def _requeue(here: Connection, target: Database) -> int:
    """Give back the jobs whose workers are not here; the attempt does not count."""
    with Session(here) as session:
        now = target.now(session)
        held = session.execute(
            select(JobRow.id, JobRow.attempt).where(JobRow.status.in_(HELD))
        ).all()
        for job_id, attempt in held:
            jobs.release(session, jobs.Attempt(job_id, attempt), now)
        session.flush()
    return len(held)
