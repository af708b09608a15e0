"""Artifacts in a bucket, with a folder of this host before it; no two hosts share a folder.

::

    sha256/ab/cd/<hex>           finished files, never changed
    partial/<name>/<from>-<to>   bytes of uploads still arriving
    damaged/<hex>                files whose bytes are no longer those of their name
    runs/<name>/<path>           what a task has done so far, for its next attempt to resume
    probe                        written to see whether the store takes anything

The bucket is the truth. The folder holds what arrives or is being made, and under ``sha256`` the
files that this host has used last. Bytes are compared with their digest on the way into the bucket
and on the way out of it.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from raiw.canonical import (
    CHUNK_BYTES,
    digest_of,
    digest_of_chunks,
    digest_of_hash,
    digest_of_hex,
    hex_digits,
)
from raiw.errors import NotFound
from raiw.files import write_atomically
from service.contract.errors import Damaged
from service.settings import Settings
from service.store.files import parts
from service.store.files.artifacts import Artifacts, State, missing
from service.store.files.bucket import PIECE_BYTES, Bucket, Entry
from service.store.files.cache import Cache
from service.store.files.staged import PRIVATE_FOLDER, Staged, require_digest

logger = logging.getLogger(__name__)

_AHEAD = 4
"""Pieces of a file that a worker fetches at a time."""
_GLANCE_SECONDS = 2.0
_TIDY_SECONDS = 3600.0
_LEFT_SECONDS = 7 * 86400.0
"""What a killed worker has left in its host's folder is removed after this time."""


def open_artifacts(settings: Settings) -> Artifacts:
    """Return the artifacts of a deployment: a folder, or a bucket with a folder before it."""
    folder, free = settings.artifacts, settings.min_free_bytes
    if not settings.objects:
        return Artifacts(folder, free)
    return BucketArtifacts(settings.objects, folder, free, settings.objects_cache_bytes)


class BucketArtifacts(Artifacts):
    """Content-addressed objects of a bucket.

    Parameters
    ----------
    url
        The bucket, as :class:`service.store.files.bucket.Bucket` takes it.
    root
        The folder of this host.
    min_free_bytes
        What must stay free on its disk.
    cache_bytes
        How much of the folder may be files of the bucket that nobody uses.
    """

    def __init__(self, url: str, root: Path, min_free_bytes: int, cache_bytes: int) -> None:
        super().__init__(root, min_free_bytes)
        self._bucket = Bucket(url)
        self._glances = Bucket(url, _GLANCE_SECONDS)
        self._cache = Cache(root / "sha256", cache_bytes)
        self._saved: dict[Path, tuple[int, int]] = {}
        self._tidied = 0.0

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether a file of this size is stored; its bytes are not checked."""
        try:
            return self._entry(digest).size == size or size is None
        except NotFound:
            return False

    def size(self, digest: str) -> int:
        """Return the size of a file; 0 if it does not exist."""
        try:
            return self._entry(digest).size
        except NotFound:
            return 0

    def inspect(self, digest: str) -> State:
        """Compare a file with its digest; a version that was found sound is not read twice."""
        try:
            entry = self._entry(digest)
            if (digest, entry) not in self._sound:
                if digest_of_chunks(self._pieces(entry, 0, entry.size)) != digest:
                    return State.DAMAGED
                self._sound.add((digest, entry))
        except NotFound:
            return State.MISSING
        return State.SOUND

    def vet(self, digest: str) -> State:
        """Judge a file that is about to be served: its bytes are checked on their way."""
        return State.SOUND if self.has(digest) else State.MISSING

    def address(self, digest: str, seconds: int) -> str | None:
        """Return a URL under which anybody may read a file for some time."""
        return self._bucket.sign(self._key(digest), seconds)

    @contextmanager
    def _used(self) -> Iterator[None]:
        if time.monotonic() - self._tidied > _TIDY_SECONDS:
            self._tidied = time.monotonic()
            super().sweep(_LEFT_SECONDS)
            super().sweep_runs(_LEFT_SECONDS, ())
        with self._cache.using():
            yield

    def using(self) -> AbstractContextManager[None]:
        """Return a context in which files stay where :meth:`verified` has put them."""
        return self._used()

    def verified(self, digest: str) -> Path:
        """Fetch a file unless this host has it; return the path of its bytes.

        Raises
        ------
        NotFound
            The bucket does not have it.
        Damaged
            The bucket held other bytes; they are set aside so that the right ones can replace them.
        """
        path = self.path(digest)
        while not self._cache.hold(path) or super().inspect(digest) is not State.SOUND:
            path.unlink(missing_ok=True)
            self._fetch(digest)
        return path

    def set_aside(self, digest: str) -> None:
        """Put a damaged object where it is in nobody's way."""
        entry = self._entry(digest)
        if self.inspect(digest) is State.DAMAGED:
            self._damaged(digest, entry)

    def digests(self, folder: str = "*") -> Iterator[tuple[str, float]]:
        """Yield digest and age in seconds of every file, or of those in ``sha256/<folder>``."""
        for entry in self._bucket.list("sha256/" if folder == "*" else f"sha256/{folder}/"):
            digest = digest_of_hex(entry.key.rpartition("/")[2])
            if entry.key == self._key(digest):
                yield digest, time.time() - entry.changed

    def read(self, digest: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes ``start`` to ``stop`` of a file in pieces of at most 1 MiB.

        The last piece of a whole file is held back until its digest has been compared.

        Raises
        ------
        NotFound
            The file is not there.
        Damaged
            It holds other bytes; it is set aside so that the right ones can replace it.
        """
        entry = self._entry(digest)
        pieces = self._pieces(entry, start, stop)
        if (start, stop) == (0, entry.size) and (digest, entry) not in self._sound:
            pieces = self._compared(digest, entry, pieces)
        yield from pieces

    def put(self, data: bytes) -> str:
        """Store bytes; return their digest."""
        digest = digest_of(data)
        self._publish(digest, len(data), [data])
        return digest

    def link(self, path: Path, digest: str) -> None:
        """Store a file of the folder under its digest.

        Raises
        ------
        DigestMismatch
            It has another one.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._publish(digest, size, iter(lambda: file.read(CHUNK_BYTES), b""))

    def run(self, content_key: str) -> Path:
        """Make and return the folder in which the task of a content key works.

        It holds what earlier attempts have left, on whatever host.
        """
        folder, prefix = super().run(content_key), self._run_prefix(content_key)
        for entry in self._bucket.list(prefix):
            path = folder / entry.key.removeprefix(prefix)
            if path.exists() and path.stat().st_mtime >= entry.changed:
                continue  # written here since, by an attempt that did not live to save it
            path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            write_atomically(path, self._pieces(entry, 0, entry.size))
            os.utime(path, (entry.changed, entry.changed))
        return folder

    def save_run(self, content_key: str) -> None:
        """Make what a task has written outlive this host: the files in folders of its own.

        What lies beside those folders is laid out anew for each attempt.
        """
        folder = self._run(content_key)
        for path in folder.glob("*/**/*"):
            if path.name.startswith(".") or not path.is_file():
                continue  # half-written
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_mtime_ns, status.st_size)
                if self._saved.get(path) != version:
                    key = self._run_prefix(content_key) + path.relative_to(folder).as_posix()
                    chunks = iter(lambda file=file: file.read(CHUNK_BYTES), b"")  # type: ignore[misc]
                    self._bucket.put(key, status.st_size, chunks)
                    self._saved[path] = version

    def end_run(self, content_key: str) -> None:
        """Remove the folder of a task."""
        super().end_run(content_key)
        self._saved.clear()
        self._bucket.delete(
            *(entry.key for entry in self._bucket.list(self._run_prefix(content_key)))
        )

    def sweep_runs(self, seconds: float, spared: Collection[str]) -> None:
        """Remove what tasks have left that nothing has been written to for some time."""
        super().sweep_runs(seconds, spared)
        kept = {self._run_prefix(content_key) for content_key in spared}
        self._sweep("runs/", seconds, kept)

    def delete(self, digest: str) -> None:
        """Remove a file, if it is there."""
        self._bucket.delete(self._key(digest))
        super().delete(digest)

    def stage(self, size: int) -> Staged:
        """Open a nameless file for ``size`` bytes; it vanishes unless it is kept.

        Raises
        ------
        DiskFull
            This host's disk would fall below the space that must stay free.
        """
        super().require_space(size)
        return super().stage(size)

    def resume(self, name: str) -> Staged:
        """Open a growing upload; on this host nobody else can write it.

        Raises
        ------
        Busy
            Somebody here is writing it.
        """
        return parts.StagedPart(self._partial(name), self._bucket, self._publish)

    def received(self, name: str) -> int:
        """Return how many bytes of an upload have arrived."""
        return parts.received(self._bucket, name)

    def discard(self, name: str) -> None:
        """Remove the parts of an upload, if there are any."""
        parts.discard(self._bucket, name)
        super().discard(name)

    def sweep(self, seconds: float) -> None:
        """Remove damaged and half-written files that have been untouched for some time."""
        super().sweep(seconds)
        self._sweep(parts.PARTS, seconds, ())
        self._sweep("damaged/", seconds, ())

    def probe(self) -> None:
        """Write into the bucket and the folder."""
        super().probe()
        self._glances.put("probe", 0, [])

    def require_space(self, size: int) -> None:
        """Refuse nothing: a bucket has room."""

    def _entry(self, digest: str) -> Entry:
        try:
            return self._bucket.head(self._key(digest))
        except NotFound:
            raise missing(digest) from None

    def _key(self, digest: str) -> str:
        return self.path(digest).relative_to(self._root).as_posix()

    def _run_prefix(self, content_key: str) -> str:
        return f"runs/{hex_digits(content_key)}/"

    def _publish(self, digest: str, size: int, chunks: Iterable[bytes]) -> None:
        """Give bytes the name of their digest; other bytes never get it."""

        def compared() -> Iterator[bytes]:
            sha256 = hashlib.sha256()
            for chunk in chunks:
                sha256.update(chunk)
                yield chunk
            require_digest(digest_of_hash(sha256), digest)

        self._bucket.put(self._key(digest), size, compared())

    def _fetch(self, digest: str) -> None:
        entry = self._entry(digest)
        with self.stage(entry.size) as staged:
            for piece in self._pieces(entry, 0, entry.size, ahead=_AHEAD):
                staged.write(piece)
            if staged.digest() != digest:
                raise self._damaged(digest, entry)
            super().link(staged.path, digest)
        self._cache.add(self.path(digest))

    def _pieces(self, entry: Entry, start: int, stop: int, ahead: int = 1) -> Iterator[bytes]:
        """Yield bytes of one version of an object; ``ahead`` pieces are fetched at a time."""

        def piece(at: int) -> bytes:
            return self._bucket.get(entry.key, at, min(at + PIECE_BYTES, stop), entry.tag)

        starts = range(start, stop, PIECE_BYTES)
        if ahead == 1 or len(starts) == 1:
            fetched: Iterable[bytes] = map(piece, starts)
        else:
            fetched = _in_turns(piece, starts, ahead)
        for one in fetched:
            for at in range(0, len(one), CHUNK_BYTES):
                yield one[at : at + CHUNK_BYTES]

    def _compared(self, digest: str, entry: Entry, pieces: Iterator[bytes]) -> Iterator[bytes]:
        sha256, last = hashlib.sha256(), b""
        for piece in pieces:
            if last:
                yield last
            sha256.update(piece)
            last = piece
        if digest_of_hash(sha256) != digest:
            raise self._damaged(digest, entry)
        self._sound.add((digest, entry))
        if last:
            yield last

    def _damaged(self, digest: str, entry: Entry) -> Damaged:
        """Set a damaged object aside, unless another has taken its name in the meantime."""
        if self._entry(digest).tag == entry.tag:
            self._bucket.copy(entry.key, f"damaged/{hex_digits(digest)}")
            self._bucket.delete(entry.key)
            logger.error("the object %s was damaged and has been set aside", digest)
        return Damaged(f"the stored file {digest} was damaged in the object store")

    def _sweep(self, prefix: str, seconds: float, kept: Collection[str]) -> None:
        """Remove whatever is below each folder of a prefix once none of it is young."""
        groups: dict[str, list[Entry]] = {}
        for entry in self._bucket.list(prefix):
            name = entry.key.removeprefix(prefix).partition("/")[0]
            groups.setdefault(f"{prefix}{name}/", []).append(entry)
        untouched = time.time() - seconds
        for group, entries in groups.items():
            if group not in kept and max(entry.changed for entry in entries) < untouched:
                self._bucket.delete(*(entry.key for entry in entries))


def _in_turns(piece: Callable[[int], bytes], starts: range, ahead: int) -> Iterator[bytes]:
    with ThreadPoolExecutor(ahead) as threads:
        for first in range(0, len(starts), ahead):
            yield from threads.map(piece, starts[first : first + ahead])
