"""A folder of files that can be fetched again: bounded in size, the last used ones stay."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

_SLACK = 16
"""The folder may grow by this part of its bound before somebody looks through it again."""


class Cache:
    """Files ``<folder>/*/*/*``, which several processes of a host share.

    A file in use is locked by who uses it; the lock ends with its process.

    Parameters
    ----------
    folder
        Where they are.
    most_bytes
        How many bytes stay when nobody uses them.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._added = most_bytes
        self._held: ExitStack | None = None

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Keep the files that are held in this block until its end."""
        with ExitStack() as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def hold(self, path: Path) -> bool:
        """Note that a file is used, and keep it; False if it is not there."""
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            status = os.fstat(file)
            if not status.st_nlink:  # removed while we waited for the lock
                return False
            os.utime(file, ns=(time.time_ns(), status.st_mtime_ns))
            if self._held is not None:
                self._held.callback(os.close, os.dup(file))
            return True
        finally:
            os.close(file)

    def add(self, path: Path) -> None:
        """Note that a file has been added; make room for it where the bound is reached."""
        self._added += path.stat().st_size
        if self._added * _SLACK >= self._most_bytes:
            self._added = 0
            self._shrink(path)

    def _shrink(self, spared: Path) -> None:
        """Remove files that nobody uses, the longest unused first, down to the bound."""
        found = []
        for path in set(self._folder.glob("*/*/*")) - {spared}:
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_atime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in found) + spared.stat().st_size - self._most_bytes
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            if _removed(path):
                excess -= size


def _removed(path: Path) -> bool:
    """Remove a file unless somebody holds it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)
