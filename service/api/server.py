"""The HTTP server: uvicorn, with limits on what a client can make it keep or wait for.

There are limits on the bytes of a connection that belong to no body (headers, framing, trailers),
on the time to send a request's header, and on the number of connections, per client and in total.
The kernel cuts off a client that takes no bytes. Limits on bodies are in
:mod:`service.api.middleware` and :mod:`service.api.bodies`.
"""

import asyncio
import logging
import resource
import socket
from collections import Counter
from http import HTTPStatus
from typing import ClassVar

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.contract.problems import Problem
from service.settings import Settings

logger = logging.getLogger(__name__)

HEADER_BYTES = 64 << 10
"""Most bytes of a request's line and headers, and of the framing between two pieces of its body."""
MAX_PIPELINED = 16
"""Most requests that may queue on one connection."""

_TAKING_SECONDS = 60
"""A client that acknowledges no byte for this long is gone."""
_SPARE_FILES = 512
"""Files that are not connections: the database's, the broker's, uploads."""


def server_config(app: FastAPI, settings: Settings, *, grace_seconds: int) -> uvicorn.Config:
    """Return how uvicorn serves the application.

    Parameters
    ----------
    grace_seconds
        Requests under way may finish within this time after a request to stop.
    """
    allow_files(settings.max_connections + _SPARE_FILES)
    limits = {"settings": settings, "clients": Counter()}
    return uvicorn.Config(
        app,
        http=type("Connection", (BoundedConnection,), limits),
        ws="none",
        log_config=None,
        server_header=False,
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=grace_seconds,
    )


def allow_files(count: int) -> None:
    """Let this process open this many files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < count:
        logger.warning(
            "this process may open %d files but needs %d: raise the limit (ulimit -n) or lower "
            "RAIW_MAX_CONNECTIONS",
            allowed,
            count,
        )


class BoundedConnection(HttpToolsProtocol):
    """A connection with limits; those from the settings are set in a subclass for each server."""

    settings: ClassVar[Settings]
    clients: ClassVar[Counter[str]]
    """Open connections by client address."""

    _timer: asyncio.TimerHandle | None = None
    _address = ""
    _loose = 0
    """Bytes since the request began, its header ended or a piece of its body came."""
    _in_header = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and refuse it if it is one too many."""
        super().connection_made(transport)
        _give_up_on_silence(transport)
        self._address = self.client[0] if self.client else ""
        self.clients[self._address] += 1
        most, most_of_one = self.settings.max_connections, self.settings.max_client_connections
        if len(self.connections) > most:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                f"{most} connections are open: try again later (RAIW_MAX_CONNECTIONS)",
            )
        elif self.clients[self._address] > most_of_one:
            self._refuse(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                f"{most_of_one} connections are open from {self._address}: close some "
                f"(RAIW_MAX_CLIENT_CONNECTIONS)",
            )
        else:
            self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._expect_nothing()
        self.clients[self._address] -= 1
        if not self.clients[self._address]:
            del self.clients[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and check what belongs to no body."""
        if self.transport.is_closing():
            return
        if self._in_header and self._timer is None:
            self._expect_header()
        self._loose += len(data)
        super().data_received(data)
        if self._loose > HEADER_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too-large",
                f"the header of the request is larger than the {HEADER_BYTES} bytes allowed",
            )

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind those before it."""
        self._expect_nothing()
        self._loose, self._in_header = 0, False
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError(f"{MAX_PIPELINED} requests are waiting already")  # answered with 400
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Notice that a piece of the body follows."""
        self._loose = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        self._loose, self._in_header = 0, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, "bad-request", msg)

    def _expect_header(self) -> None:
        seconds = self.settings.header_seconds
        self._timer = self.loop.call_later(seconds, self._no_header)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _no_header(self) -> None:
        if self.flow.read_paused:  # we are not listening, which is not the client's fault
            self._expect_header()
        elif self._loose:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                "request-timeout",
                f"the header was not complete within {self.settings.header_seconds:g} seconds "
                f"(RAIW_HEADER_SECONDS)",
            )
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Answer outside the application and close the connection."""
        self._expect_nothing()
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is not None and not under_way.response_complete:
            self.transport.abort()
        if self.transport.is_closing():
            return
        body = Problem.of(status, code, detail).model_dump_json().encode()
        head = (
            f"HTTP/1.1 {status} {status.phrase}\r\n"
            f"content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            f"connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _give_up_on_silence(transport: asyncio.Transport) -> None:
    """Let the kernel end the connection of a client that takes nothing, or is gone."""
    connection = transport.get_extra_info("socket")
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = 1000 * _TAKING_SECONDS
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
