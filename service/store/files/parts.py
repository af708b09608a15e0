"""Uploads in parts, kept in a bucket: the next part may come to another host.

::

    partial/<name>/<start>-<stop>    bytes of an upload from one offset to another

Requests that wrote the same part twice have left parts that overlap; all hold bytes of one file,
so any of them will do, and its digest is compared in the end.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from raiw.canonical import CHUNK_BYTES
from raiw.errors import NotFound
from service.store.files.bucket import PIECE_BYTES, Bucket
from service.store.files.staged import ABANDONED, Staged

PARTS = "partial/"

Publish = Callable[[str, int, Iterator[bytes]], None]
"""Stores so many bytes under their digest, unless it is another one."""

_Span = tuple[int, int, str]
"""First byte, last byte + 1, and key."""


def found(bucket: Bucket, name: str) -> list[_Span]:
    """Return the parts that lead from the first byte of an upload as far as possible."""
    parts = sorted(_part(entry.key) for entry in bucket.list(f"{PARTS}{name}/"))
    chain: list[_Span] = []
    while reaching := [part for part in parts if part[0] <= _end(chain) < part[1]]:
        chain.append(max(reaching, key=lambda part: part[1]))
    return chain


def received(bucket: Bucket, name: str) -> int:
    """Return how many bytes of an upload are kept."""
    return _end(found(bucket, name))


def discard(bucket: Bucket, name: str) -> None:
    """Remove the parts of an upload."""
    bucket.delete(*(entry.key for entry in bucket.list(f"{PARTS}{name}/")))


class StagedPart(Staged):
    """The end of an upload that grows in a file, while what came before it is in the bucket."""

    def __init__(self, path: Path, bucket: Bucket, publish: Publish) -> None:
        super().__init__(path, lambda *_: None)
        self._bucket = bucket
        self._publish = publish
        self._name = path.name
        self._parts = found(bucket, self._name)
        self._kept = False
        os.ftruncate(self._file, 0)  # what a crash has left
        self._start = self.size = _end(self._parts)

    def head(self, count: int) -> bytes:
        """Return the first bytes of the upload."""
        head = b""
        for piece in self._chunks():
            head += piece[: count - len(head)]
            if len(head) == count:
                break
        return head

    def truncate(self, size: int) -> None:
        """Forget the bytes after ``size``."""
        self._start = min(self._start, size)
        super().truncate(size - self._start)
        self.size = size

    def flush(self) -> None:
        """Put the bytes of the file into the bucket, where they outlive this host."""
        if self._kept or self.size == self._start:
            return
        key = f"{PARTS}{self._name}/{self._start}-{self.size}"
        self._bucket.put(key, self.size - self._start, super()._chunks())
        self._parts.append((self._start, self.size, key))
        self._start = self.size
        os.ftruncate(self._file, 0)

    def keep(self, digest: str) -> None:
        """Compare the bytes with their digest, and store them under it.

        Raises
        ------
        DigestMismatch
            They have another one.
        NotFound
            Somebody has discarded the upload in the meantime.
        """
        try:
            self._publish(digest, self.size, self._chunks())
        except NotFound:
            raise NotFound(ABANDONED) from None
        self._kept = True

    def _chunks(self) -> Iterator[bytes]:
        offset = 0
        for start, stop, key in self._parts:
            while offset < min(stop, self._start):
                end = min(stop, self._start, offset + PIECE_BYTES)
                piece = self._bucket.get(key, offset - start, end - start)
                for at in range(0, len(piece), CHUNK_BYTES):
                    yield piece[at : at + CHUNK_BYTES]
                offset = end
        yield from super()._chunks()


def _end(chain: list[_Span]) -> int:
    return chain[-1][1] if chain else 0


def _part(key: str) -> _Span:
    start, stop = key.rpartition("/")[2].split("-")
    return int(start), int(stop), key
