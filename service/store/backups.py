"""A place for backups: a folder or a bucket that holds objects, and a list for each backup.

::

    sha256/ab/cd/<hex>    files, and the rows of each backup as an SQLite database
    backups/<time>.json   what belongs to a backup, written last

An object is stored once, however many backups name it.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from raiw.errors import InvalidInput, NotFound
from raiw.files import write_atomically
from raiw.names import unknown
from service.settings import BUCKETS
from service.store.files.artifacts import Artifacts
from service.store.files.bucket import Bucket
from service.store.files.remote import BucketArtifacts
from service.store.files.staged import PRIVATE_FILE, PRIVATE_FOLDER

_LISTS = "backups/"
_SUFFIX = ".json"


class Backup(BaseModel):
    """What belongs to a backup."""

    format: Literal["raiw.backup@1"] = "raiw.backup@1"
    raiw: str
    """Version that wrote it."""
    taken_at: str
    revision: str
    """Revision of its tables."""
    rows: str
    """Digest of the SQLite database."""
    jobs: int
    objects: dict[str, int]
    """Digests and sizes of the files."""
    lost: list[str]
    """Digests of files that rows name and that the store no longer has."""


class Backups:
    """The backups in one place.

    Parameters
    ----------
    place
        A folder, or the URL of a bucket.
    workspace
        A folder for files on their way.
    """

    def __init__(self, place: str, workspace: Path) -> None:
        self._bucket = Bucket(place) if place.startswith(BUCKETS) and "://" in place else None
        self._folder = Path(place).expanduser().absolute()
        self.artifacts = (
            BucketArtifacts(place, workspace, 0, 1) if self._bucket else Artifacts(self._folder)
        )
        self._place = place

    def names(self) -> list[str]:
        """Return the names of all backups, oldest first."""
        if self._bucket is not None:
            found = [entry.key.removeprefix(_LISTS) for entry in self._bucket.list(_LISTS)]
        else:
            found = [path.name for path in (self._folder / _LISTS).glob(f"*{_SUFFIX}")]
        return sorted(name.removesuffix(_SUFFIX) for name in found)

    def read(self, name: str = "") -> Backup:
        """Return what belongs to a backup, by default the last one.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            Its list is not one of ours.
        """
        names = self.names()
        if not names or (name and name not in names):
            if names:
                raise unknown(name, names, "backup", NotFound)
            raise NotFound(f"no backup in {self._place}")
        name = name or names[-1]
        try:
            return Backup.model_validate_json(self._content(name))
        except ValidationError as error:
            fault = error.errors()[0]
            raise InvalidInput(
                f"the list of backup {name} in {self._place} is damaged, or of a newer version of "
                f"raiw: {fault['msg']}"
            ) from None

    def write(self, name: str, backup: Backup) -> None:
        """Write down what belongs to a backup, which makes it one."""
        content = backup.model_dump_json(indent=1).encode()
        if self._bucket is not None:
            self._bucket.put(f"{_LISTS}{name}{_SUFFIX}", len(content), [content])
            return
        (self._folder / _LISTS).mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        write_atomically(self._path(name), [content], mode=PRIVATE_FILE)

    def keep(self, number: int) -> int:
        """Remove all but the last backups, with what no other names; return how many went."""
        names = self.names()
        old, kept = names[:-number], [self.read(name) for name in names[-number:]]
        needed = {digest for backup in kept for digest in _named(backup)}
        for name in old:
            gone = _named(self.read(name)) - needed
            if self._bucket is not None:
                self._bucket.delete(f"{_LISTS}{name}{_SUFFIX}")
            else:
                self._path(name).unlink()
            for digest in gone:
                self.artifacts.delete(digest)
        return len(old)

    def _content(self, name: str) -> bytes:
        if self._bucket is None:
            return self._path(name).read_bytes()
        key = f"{_LISTS}{name}{_SUFFIX}"
        return self._bucket.get(key, 0, self._bucket.head(key).size)

    def _path(self, name: str) -> Path:
        return self._folder / _LISTS / f"{name}{_SUFFIX}"


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """Make a folder for files on their way; it is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="raiw-backup-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _named(backup: Backup) -> set[str]:
    return {backup.rows, *backup.objects}


def as_document(name: str, backup: Backup, **more: Any) -> dict[str, Any]:
    """Return what a command prints of a backup."""
    told = backup.model_dump(exclude={"objects", "rows", "format"})
    sizes = {"objects": len(backup.objects), "bytes": sum(backup.objects.values())}
    return {"backup": name, **told, **sizes, **more}
