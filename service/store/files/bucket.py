"""A bucket of S3, Google Cloud Storage or Azure: whole objects in, ranges out, errors in our words.

An object appears whole or not at all: what is not finished, by a failed check or a killed process,
never has its name. Memory is bounded whatever the size of an object.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raiw.errors import NotFound
from service.contract.errors import ObjectsAway

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

logger = logging.getLogger(__name__)

PIECE_BYTES = 8 << 20
"""Most bytes of one request, apart from uploads of more than 80 GB."""
_MOST_PARTS = 10_000
"""Of one upload, says S3."""
_AT_ONCE = 4
"""Pieces of one object on their way at a time."""
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of a bucket."""

    key: str
    size: int
    tag: str
    """Another for other bytes; empty where the store has none."""
    changed: float
    """When it was written, in seconds since 1970 by the bucket's clock."""


class Bucket:
    """A bucket, or what lies below a prefix of one.

    Connections are made at the first use, by the process that uses it: none survives a fork.

    Parameters
    ----------
    url
        ``s3://bucket/prefix``, ``gs://…`` or ``az://…``.
    patience
        Seconds in which a request may be repeated before the store counts as away.
    """

    def __init__(self, url: str, patience: float = 20) -> None:
        self.url = url
        self._patience = patience

    def head(self, key: str) -> Entry:
        """Return what is known about an object.

        Raises
        ------
        NotFound
            There is none of this name.
        ObjectsAway
            The store does not answer or refuses; every method may raise it.
        """
        with self._spoken(key):
            return _entry(self._store.head(key))

    def get(self, key: str, start: int, stop: int, tag: str = "") -> bytes:
        """Return bytes ``start`` to ``stop`` of an object.

        Raises
        ------
        NotFound
            There is none of this name, or with ``tag``, no such version of it.
        """
        with self._spoken(key):
            options: Any = {"range": (start, stop)} | ({"if_match": tag} if tag else {})
            return bytes(self._store.get(key, options=options).bytes())

    def put(self, key: str, size: int, chunks: Iterable[bytes]) -> None:
        """Write an object of a known size, in parts if it is large.

        What ``chunks`` raises is raised; then nothing is written.
        """
        with self._spoken(key):
            if size <= PIECE_BYTES:
                self._store.put(key, b"".join(chunks), use_multipart=False)
                return
            part = max(PIECE_BYTES, -(-size // _MOST_PARTS))
            self._store.put(key, _elsewhere(chunks), chunk_size=part, max_concurrency=_AT_ONCE)

    def sign(self, key: str, seconds: int) -> str:
        """Return a URL under which anybody may read an object for some time."""
        import obstore

        with self._spoken(key):
            store: Any = self._store
            return obstore.sign(store, "GET", key, timedelta(seconds=seconds))

    def copy(self, key: str, to: str) -> None:
        """Copy an object without moving its bytes through this process."""
        with self._spoken(key):
            self._store.copy(key, to)

    def delete(self, *keys: str) -> None:
        """Remove objects, if they are there."""
        for key in keys:
            with self._spoken(key), suppress(FileNotFoundError):
                self._store.delete(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield what lies below a prefix, which ends at a slash."""
        with self._spoken(prefix):
            for entries in self._store.list(prefix, chunk_size=1000):
                yield from map(_entry, entries)

    @cached_property
    def _store(self) -> "ObjectStore":
        from obstore.store import from_url

        retry: RetryConfig = {
            "max_retries": 8,
            "retry_timeout": timedelta(seconds=self._patience),
            "backoff": {"max_backoff": timedelta(seconds=2)},
        }
        client: ClientConfig = {
            "allow_http": True,  # where the operator's endpoint says so; all others have https
            "connect_timeout": timedelta(seconds=min(5, self._patience)),
            "timeout": timedelta(seconds=max(2, 1.5 * self._patience)),
        }
        store: ObjectStore = from_url(self.url, retry_config=retry, client_options=client)
        return store

    @contextmanager
    def _spoken(self, key: str) -> Iterator[None]:
        """Raise errors of the store as ours."""
        from obstore import exceptions

        try:
            yield
        except FileNotFoundError as error:
            if _code_of(error) in _NO_BUCKET:
                raise self._away(error, "create the bucket") from None
            raise NotFound(f"no object {key} in {self.url}") from None
        except exceptions.PreconditionError:
            raise NotFound(f"the object {key} in {self.url} was replaced meanwhile") from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise self._away(
                error, "the credentials must allow to read, list, write and delete"
            ) from None
        except exceptions.BaseError as error:
            raise self._away(error, "the same may succeed later") from None

    def _away(self, error: Exception, remedy: str) -> ObjectsAway:
        line = str(error).split("\n", 1)[0].strip()
        logger.warning("the object store %s fails: %s", self.url, line)
        reason = _code_of(error) or line.rpartition(" - ")[2][:_LONGEST_REASON]
        return ObjectsAway(f"the object store {self.url} cannot be used: {reason}; {remedy}")


def _elsewhere(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks that another thread reads, one ahead: this one must not use a store meanwhile.

    The thread that waits for a store also drives its requests.
    """
    iterator = iter(chunks)
    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(next, iterator, None)
        while (chunk := ahead.result()) is not None:
            ahead = thread.submit(next, iterator, None)
            yield chunk


def _entry(meta: Any) -> Entry:
    changed = meta["last_modified"].timestamp()
    return Entry(meta["path"], meta["size"], meta["e_tag"] or "", changed)


def _code_of(error: Exception) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""
