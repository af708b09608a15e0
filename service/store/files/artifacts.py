"""The artifact folder: files named by the SHA-256 of their bytes, and uploads that grow there.

::

    sha256/ab/cd/<hex>    finished files, never changed
    partial/<name>        bytes still arriving
    damaged/<hex>         files whose bytes are no longer those of their name
    runs/<name>/          what a task has done so far, for its next attempt to resume

A finished file gets its name after its bytes are flushed, so it is whole or absent, even after a
power cut. Damage by the disk is found when the file is read: see :meth:`verified`. Every host that
serves or works sees the same folder; hosts that share none have a bucket
(:mod:`service.store.files.remote`).
"""

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path

from raiw.canonical import (
    CHUNK_BYTES,
    digest_of,
    digest_of_chunks,
    digest_of_file,
    digest_of_hex,
    hex_digits,
)
from raiw.errors import DiskFull, NotFound
from service.contract.errors import Damaged
from service.store.files.staged import PRIVATE_FILE, PRIVATE_FOLDER, Staged
from service.store.sound import Sound

logger = logging.getLogger(__name__)

_HEX_DIGITS = 64

Identity = tuple[int, int, int]
"""What distinguishes one state of a file from another: inode, time of change, size."""


class State(StrEnum):
    """The condition of a digest's file."""

    SOUND = "sound"
    MISSING = "missing"
    DAMAGED = "damaged"


class Artifacts:
    """A content-addressed folder.

    Parameters
    ----------
    root
        The folder; it is made when the first byte arrives.
    min_free_bytes
        What must stay free on its disk.
    """

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._sound = Sound()

    def path(self, digest: str) -> Path:
        """Return the path of a digest's file, present or not."""
        hexadecimal = hex_digits(digest)
        return self._root / "sha256" / hexadecimal[:2] / hexadecimal[2:4] / hexadecimal

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether a file of this size is stored; its bytes are not checked."""
        path = self.path(digest)
        return path.is_file() and size in (None, self.size(digest))

    def size(self, digest: str) -> int:
        """Return the size of a file; None if it does not exist."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def inspect(self, digest: str) -> State:
        """Compare a file with its digest; a file that was found sound is not read twice.

        It is recognised by inode, time of change and size, so one process reads each state of a
        file once, however long it is.
        """
        return self._inspect(digest)[0]

    def vet(self, digest: str) -> State:
        """Judge a file that is about to be served."""
        return self.inspect(digest)

    def address(self, digest: str, seconds: int) -> str | None:
        """Return a URL under which anybody may read a file for some time; a folder has none."""
        del digest, seconds
        return None

    def using(self) -> AbstractContextManager[None]:
        """Return a context in which files stay where :meth:`verified` has put them."""
        return nullcontext()

    def verified(self, digest: str) -> Path:
        """Return the path of a file that holds the bytes of its digest.

        Raises
        ------
        NotFound
            The file is not there.
        Damaged
            It held other bytes; it is set aside so that the right ones can replace it.
        """
        state, identity = self._inspect(digest)
        if state is State.MISSING:
            raise missing(digest)
        if state is State.DAMAGED:
            self._set_aside(digest, identity)
            raise Damaged(f"the stored file {digest} was damaged on the server's disk")
        return self.path(digest)

    def set_aside(self, digest: str) -> None:
        """Put a damaged file where it is in nobody's way."""
        state, identity = self._inspect(digest)
        if state is State.DAMAGED:
            self._set_aside(digest, identity)

    def digests(self, folder: str = "*") -> Iterator[tuple[str, float]]:
        """Yield digest and age in seconds of every file, or of those in ``sha256/<folder>``.

        A file whose name is not a digest is left alone.
        """
        for path in self._root.glob(f"sha256/{folder}/*/*"):
            digest = digest_of_hex(path.name)
            with contextlib.suppress(FileNotFoundError):
                if path == self.path(digest) and len(path.name) == _HEX_DIGITS:
                    yield digest, time.time() - path.stat().st_mtime

    def read(self, digest: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes ``start`` to ``stop`` of a file in pieces of at most 1 MiB.

        Raises
        ------
        NotFound
            The file is not there.
        """
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise missing(digest) from None
        with file:
            file.seek(start)
            while start < stop and (piece := file.read(min(CHUNK_BYTES, stop - start))):
                start += len(piece)
                yield piece

    def put(self, data: bytes) -> str:
        """Store bytes; return their digest."""
        digest = digest_of(data)
        if self.inspect(digest) is not State.SOUND:
            with self.stage(len(data)) as staged:
                staged.write(data)
                staged.keep(digest)
        return digest

    def take(self, path: Path) -> str:
        """Store a file from the folder ``runs``, already flushed to disk; return its digest."""
        path.chmod(PRIVATE_FILE)
        digest = digest_of_file(path)
        self.link(path, digest)
        return digest

    def link(self, path: Path, digest: str) -> None:
        """Name a file of this folder, already flushed to disk, by its digest.

        It replaces any file that has the name already: that one may be damaged.
        """
        target = self.path(digest)
        name = self._partial(f"link-{secrets.token_hex(12)}")
        for folder in (target.parent, name.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        name.hardlink_to(path)
        try:
            name.replace(target)
        finally:
            name.unlink(missing_ok=True)  # renaming one link of a file over another does nothing
        # The folders above may be new too: a name is safe only once its folder is on disk.
        for folder in (target.parent, *target.parent.parents[:3]):
            _flush_folder(folder)

    def run(self, content_key: str) -> Path:
        """Make and return the folder in which the task of a content key works.

        It holds what earlier attempts have left.
        """
        folder = self._run(content_key)
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        return folder

    def save_run(self, content_key: str) -> None:
        """Make what a task has written to its folder so far outlive this host."""

    def end_run(self, content_key: str) -> None:
        """Remove the folder of a task."""
        shutil.rmtree(self._run(content_key), ignore_errors=True)

    def sweep_runs(self, seconds: float, spared: Collection[str]) -> None:
        """Remove task folders that nothing has been written to for some time.

        Those of ``spared`` content keys stay: an epoch may last longer.
        """
        untouched = time.time() - seconds
        kept = {self._run(content_key) for content_key in spared}
        for folder in set(self._root.glob("runs/*")) - kept:
            with contextlib.suppress(FileNotFoundError):
                if max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < untouched:
                    shutil.rmtree(folder)

    def delete(self, digest: str) -> None:
        """Remove a file, if it is there."""
        self.path(digest).unlink(missing_ok=True)

    def stage(self, size: int) -> Staged:
        """Open a nameless file for ``size`` bytes; it vanishes unless it is kept.

        Raises
        ------
        DiskFull
            The disk would fall below the space that must stay free.
        """
        self.require_space(size)
        return Staged(self._partial(f"stage-{secrets.token_hex(12)}"), self.link)

    def resume(self, name: str) -> Staged:
        """Open the growing file of an upload, exclusively.

        Raises
        ------
        Busy
            Somebody else is writing it.
        """
        return Staged(self._partial(name), self.link, lasting=True)

    def received(self, name: str) -> int:
        """Return how many bytes of an upload have arrived."""
        try:
            return self._partial(name).stat().st_size
        except FileNotFoundError:
            return 0

    def discard(self, name: str) -> None:
        """Remove the growing file of an upload, if it is there."""
        self._partial(name).unlink(missing_ok=True)

    def sweep(self, seconds: float) -> None:
        """Remove damaged and half-written files that have been untouched for some time."""
        untouched = time.time() - seconds
        for file in (*self._root.glob("partial/*"), *self._root.glob("damaged/*")):
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < untouched:
                    file.unlink()

    def probe(self) -> None:
        """Make and remove a file, which fails where the folder is read-only or the disk full."""
        with self.stage(0):
            pass

    def free_bytes(self) -> int:
        """Return the free bytes beyond those that must stay free; negative if there are fewer."""
        self._root.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        return shutil.disk_usage(self._root).free - self._min_free_bytes

    def require_space(self, size: int) -> None:
        """Refuse what does not fit.

        Raises
        ------
        DiskFull
            The disk would fall below the space that must stay free.
        """
        free = self.free_bytes()
        if size > free:
            raise DiskFull(
                f"{size} bytes do not fit: the artifact folder's disk has {max(free, 0)} bytes "
                f"above the {self._min_free_bytes} that stay free; ask the operator for room",
                free_bytes=max(free, 0),
            )

    def _inspect(self, digest: str) -> tuple[State, Identity | None]:
        try:
            with self.path(digest).open("rb") as file:
                identity = _identity(os.fstat(file.fileno()))
                if (digest, identity) in self._sound:
                    return State.SOUND, identity
                read = digest_of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))
        except FileNotFoundError:
            return State.MISSING, None
        if read != digest:
            return State.DAMAGED, identity
        self._sound.add((digest, identity))
        return State.SOUND, identity

    def _set_aside(self, digest: str, identity: Identity | None) -> None:
        """Rename a damaged file, unless another file has taken its name in the meantime."""
        path = self.path(digest)
        folder = self._root / "damaged"
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        with contextlib.suppress(FileNotFoundError):
            if _identity(path.stat()) == identity:
                os.utime(path)  # its time of keeping starts now
                path.replace(folder / path.name)
                logger.error("the file %s was damaged on disk and has been set aside", digest)

    def _run(self, content_key: str) -> Path:
        return self._root / "runs" / hex_digits(content_key)

    def _partial(self, name: str) -> Path:
        return self._root / "partial" / name


def missing(digest: str) -> NotFound:
    """Return what is raised where a file should be."""
    return NotFound(f"the file {digest} is not in the artifact folder")


def _identity(status: os.stat_result) -> Identity:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
