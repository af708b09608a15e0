"""Restoring a backup into an empty deployment, of either kind of database and store.

Files come first, each compared with its digest; then all rows, in one transaction. A restore that
is killed leaves files that nothing names, and may be repeated.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from raiw.canonical import CHUNK_BYTES
from raiw.errors import InvalidInput, NotFound
from service.contract.errors import DigestMismatch
from service.jobs.backup import ROWS, OnCopied, patient, put, row_file
from service.jobs.services import Services
from service.store import migrate, named, rows
from service.store.backups import Backup, Backups
from service.store.database import Database
from service.store.files.artifacts import Artifacts
from service.store.named import Named, Rows


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

    def attempt(act: Callable[[], None], digest: str) -> None:
        try:
            act()
            done.objects += 1
        except (NotFound, DigestMismatch):
            done.lost.append(digest)
        on_progress(done.objects + len(done.lost), digest)

    with source.engine.connect() as there:
        files = [file for file in named.files(there) if file.digest in backup.objects]
        for file in files:
            if not file.chunks:
                read = partial(backups.artifacts.read, file.digest, 0, file.size)
                attempt(partial(put, services.artifacts, file, read), file.digest)
        with target.engine.connect().execution_options(raiw_write=True) as here:
            rows.copy(there, here)
            for file in files:
                if file.chunks:
                    attempt(partial(_write, here, backups.artifacts, file), file.digest)
            with target.read() as session:
                now = target.now(session)
            done.requeued = named.give_back_all(here, now)
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


def _write(here: Rows, artifacts: Artifacts, file: Named) -> None:
    """Write a mask file into rows, unless the backup's is damaged."""
    with artifacts.verified(file.digest).open("rb") as content:
        named.write(here, file, iter(lambda: content.read(CHUNK_BYTES), b""))
