"""Files on their way into the store: they grow in its folder, and vanish unless they are kept."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from raiw.canonical import CHUNK_BYTES, digest_of_chunks, digest_of_hash
from raiw.errors import DiskFull, NotFound
from service.contract.errors import Busy, DigestMismatch

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

ABANDONED = "the upload was abandoned in the meantime: begin again"


def require_digest(received: str, announced: str) -> None:
    """Refuse bytes that are not those announced.

    Raises
    ------
    DigestMismatch
        Their digest is another one.
    """
    if received != announced:
        raise DigestMismatch(
            f"the bytes received have the digest {received}, but the announced one is "
            f"{announced}: send the file again",
            received=received,
        )


class Staged:
    """A growing file, locked against other writers while it is open.

    Parameters
    ----------
    path
        Where it grows.
    link
        Gives a file, already flushed to disk, the name of its digest.
    lasting
        It stays when it is closed, for the next request to continue.
    """

    def __init__(
        self, path: Path, link: Callable[[Path, str], None], *, lasting: bool = False
    ) -> None:
        self.path = path
        self._link = link
        self._lasting = lasting
        self._sha256 = hashlib.sha256()
        self._hashed = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Busy("another request is writing this upload; ask for its offset") from None
        self._start = 0
        """Bytes that came before those of the file."""
        self.size = os.fstat(self._file).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._lasting:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def write(self, data: bytes | memoryview) -> None:
        """Append; hash along the way if the file is written in one go.

        Raises
        ------
        DiskFull
            The disk is full.
        """
        if self._hashed == self.size:
            self._sha256.update(data)
            self._hashed += len(data)
        view = memoryview(data)
        while view:
            try:
                written = os.pwrite(self._file, view, self.size - self._start)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise DiskFull("the artifact folder's disk is full") from None
                raise
            view = view[written:]
            self.size += written

    def head(self, count: int) -> bytes:
        """Return the first bytes written."""
        return os.pread(self._file, count, 0)

    def truncate(self, size: int) -> None:
        """Forget the bytes after ``size``."""
        os.ftruncate(self._file, size)
        self.size = size

    def flush(self) -> None:
        """Flush the bytes to disk."""
        os.fsync(self._file)

    def digest(self) -> str:
        """Return the digest of all bytes; those of earlier requests are read again."""
        if self._hashed == self.size:
            return digest_of_hash(self._sha256)
        return digest_of_chunks(self._chunks())

    def keep(self, digest: str) -> None:
        """Compare the bytes with their digest, and name the file by it.

        The name it grew under stays until the caller drops it: a row must vouch for the file
        before another request may find that name free.

        Raises
        ------
        DigestMismatch
            They have another one.
        NotFound
            Somebody has discarded it in the meantime.
        """
        require_digest(self.digest(), digest)
        self.flush()
        try:
            self._link(self.path, digest)
        except FileNotFoundError:
            raise NotFound(ABANDONED) from None

    def _chunks(self) -> Iterator[bytes]:
        starts = range(0, self.size - self._start, CHUNK_BYTES)
        return (os.pread(self._file, CHUNK_BYTES, start) for start in starts)
