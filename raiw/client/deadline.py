"""The moment by which everything a caller waits for must have ended."""

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator

import httpx

from raiw.errors import StillRunning


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


class Bounded(httpx.SyncByteStream):
    """The bytes of an answer until a deadline, however slowly they come.

    A timeout bounds one read, and every byte begins another: at the deadline the connection is cut.
    """

    def __init__(
        self, stream: httpx.SyncByteStream, deadline: Deadline, doing: str, link: socket.socket
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._doing = doing
        self._link = link

    def __iter__(self) -> Iterator[bytes]:
        cut = threading.Timer(self._deadline.left, self._cut)
        cut.daemon = True
        cut.start()
        try:
            for piece in self._stream:
                self._deadline.check(self._doing)
                yield piece
        except httpx.TransportError:
            self._deadline.check(self._doing)
            raise
        finally:
            cut.cancel()

    def close(self) -> None:
        """Close the stream below."""
        self._stream.close()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket's own, which forgets its session under the thread that reads.
            socket.socket.shutdown(self._link, socket.SHUT_RDWR)
