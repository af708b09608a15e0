"""The moment by which everything a caller waits for must have ended."""

import math
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from raiw.errors import StillRunning

_PIECE = 1 << 16
"""Bytes that are written at a time."""


class Deadline:
    """A moment, or never.

    Parameters
    ----------
    seconds
        How far away it is; None for never.

    Examples
    --------
    >>> Deadline(None).left
    inf
    >>> Deadline(0).passed
    True
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._moment = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(0.0, self._moment - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing may be waited for any more."""
        return time.monotonic() >= self._moment

    def sooner(self, other: "Deadline") -> "Deadline":
        """Return the one that comes first."""
        return self if self._moment <= other._moment else other  # noqa: SLF001 -- of this class

    def check(self, doing: str) -> None:
        """Raise :class:`StillRunning` if it has passed."""
        if self.passed:
            raise StillRunning(
                f"{doing} had not ended after {self.seconds:g} s: give it more time",
                timeout=self.seconds,
            )


_current: ContextVar[Deadline | None] = ContextVar("_current", default=None)
"""Of the request that this thread waits for."""


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Let no wait of a connection inside this block go beyond the deadline."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def bound(client: httpx.Client) -> None:
    """Hold every connection that a client will open to the deadlines of :func:`until`.

    httpx has timeouts for a single read or write, of which a server that drips bytes causes any
    number.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 -- no other way
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()  # noqa: SLF001


class Bounded(httpx.SyncByteStream):
    """The bytes of an answer until a deadline, however slowly they come."""

    def __init__(self, stream: httpx.SyncByteStream, deadline: Deadline, doing: str) -> None:
        self._stream = stream
        self._deadline = deadline
        self._doing = doing

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._stream)
        while True:
            try:
                with until(self._deadline):
                    piece = next(pieces, None)
            except httpx.TransportError:
                self._deadline.check(self._doing)
                raise
            if piece is None:
                return
            self._deadline.check(self._doing)
            yield piece

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()


class _Backend(httpcore.SyncBackend):
    """Opens connections that know the deadline."""

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Link(super().connect_tcp(*args, **kwargs))


class _Link(httpcore.NetworkStream):
    """A connection on which every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _shorter(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            self._stream.write(piece, _shorter(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _shorter(timeout, httpcore.ConnectTimeout)
        return _Link(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _shorter(timeout: float | None, ended: type[Exception]) -> float | None:
    """Return a timeout that ends at the deadline, or raise what says that it has passed."""
    deadline = _current.get()
    if deadline is None or deadline.seconds is None:
        return timeout
    if deadline.passed:
        raise ended("the deadline has passed")
    return deadline.left if timeout is None else min(timeout, deadline.left)
