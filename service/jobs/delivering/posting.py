"""One POST to an address that a client chose: pinned, bounded in time and bytes, never redirected.

The connection goes to an address that :mod:`service.jobs.delivering.addresses` allows. The ``Host``
header and the name in the TLS handshake, against which the certificate is checked, are those of the
URL.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from raiw.errors import Unreachable
from service.jobs.delivering.addresses import Subnet, resolve

MAX_ANSWER_BYTES = 64 << 10
"""What is read of an answer; the connection is closed on more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered."""

    status: int
    text: str
    """The beginning of the body."""
    retry_after: float | None
    """Seconds it asks to wait."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    networks: Collection[Subnet],
    seconds: float,
) -> Answer:
    """Send a body and return the answer, all within ``seconds`` of the first connection.

    Raises
    ------
    ForbiddenAddress
        The host has an address that is not allowed.
    Unreachable
        It has none, or none answers in time and in HTTP.
    """
    target = httpx.URL(url)
    backend = _Pinned(resolve(target, networks), time.monotonic() + seconds)
    pool = httpcore.ConnectionPool(ssl_context=_trusted(), network_backend=backend, retries=0)
    sent = [("content-type", "application/json"), *headers.items()]
    try:
        with pool, pool.stream("POST", str(target), headers=sent, content=body) as response:
            text = _beginning(response.iter_stream())
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise Unreachable(f"no answer within {seconds:g} s ({words})") from None
    answered = {name.lower(): value for name, value in response.headers}
    return Answer(response.status, text, _seconds(answered.get(b"retry-after", b"")))


class _Pinned(httpcore.NetworkBackend):
    """Connects to one of some addresses, whatever name it is asked for, until a time is over."""

    def __init__(self, addresses: list[str], ends: float) -> None:
        self._addresses = addresses
        self._ends = ends
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 -- it has been resolved
        port: int,
        timeout: float | None = None,  # noqa: ARG002 -- ours counts from the beginning
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        for number, address in enumerate(self._addresses, start=1):
            left = _left(self._ends, httpcore.ConnectTimeout)
            share = left / (len(self._addresses) - number + 1)
            try:
                stream = self._sockets.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(self._addresses):
                    raise
            else:
                return _Stream(stream, self._ends)
        raise httpcore.ConnectError("there is no address")


class _Stream(httpcore.NetworkStream):
    """A connection that ends with its time, however slowly its bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._ends, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._ends, httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = _left(self._ends, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._ends)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _left(ends: float, over: type[httpcore.TimeoutException]) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise over("the time is over")
    return left


@cache
def _trusted() -> SSLContext:
    """Return the authorities that certificates are checked against; ``SSL_CERT_FILE`` names others.

    It takes milliseconds to load them.
    """
    return httpx.create_ssl_context()


def _beginning(pieces: Iterable[bytes]) -> str:
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > MAX_ANSWER_BYTES:
            break
    return text[:MAX_ANSWER_BYTES].decode(errors="replace")


def _seconds(value: bytes) -> float | None:
    """Return the seconds of ``Retry-After``, which are a number or a date."""
    text = value.decode("latin-1").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
