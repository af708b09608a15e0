"""Compression of answers that are text: by zstd or gzip, as the client accepts.

Files keep their bytes, of which ranges may be asked for, and streams of events their pace.
"""

import zlib
from typing import Protocol

import zstandard
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.contract.preferences import weights

MIN_BYTES = 1024
"""A smaller answer fits a packet as it is."""
_SLOW_BYTES = 128 << 10
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 5
_GZIP_CONTAINER = 31
_TYPES = frozenset(
    {"application/json", "application/problem+json", "application/schema+json"}
    | {"image/svg+xml", "text/css", "text/html", "text/javascript", "text/plain"}
)
_WHOLE = frozenset({200, 201, 202})


class Compressor(Protocol):
    """Compresses piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece."""

    def flush(self) -> bytes:
        """End."""


class Compression:
    """Compresses what an application answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        coding = accepted(", ".join(Headers(scope=scope).getlist("accept-encoding")))
        await self._app(scope, receive, _Answer(send, coding))


class _Answer:
    """Sends one answer, compressed if that pays."""

    def __init__(self, send: Send, coding: str | None) -> None:
        self._send = send
        self._coding = coding
        self._start: Message | None = None
        self._compressor: Compressor | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_text(message):
            headers = MutableHeaders(scope=message)
            headers.add_vary_header("Accept-Encoding")
            if self._coding is not None and int(headers.get("content-length", MIN_BYTES)) >= (
                MIN_BYTES
            ):
                self._start = message  # until its first bytes tell whether compression pays
                return
        elif message["type"] == "http.response.body":
            message = await self._body(message)
        await self._send(message)

    async def _body(self, message: Message) -> Message:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            if more or len(body) >= MIN_BYTES:
                self._compressor = _begin(start, str(self._coding))
            await self._send(start)
        compressor = self._compressor
        if compressor is None:
            return message
        if len(body) > _SLOW_BYTES:
            body = await run_in_threadpool(compressor.compress, body)
        else:
            body = compressor.compress(body)
        return {**message, "body": body if more else body + compressor.flush()}


def accepted(header: str) -> str | None:
    """Return the coding that ``Accept-Encoding`` prefers of ours, None for none.

    >>> accepted("gzip, deflate, br, zstd"), accepted("gzip, zstd;q=0.1"), accepted("*;q=0, br")
    ('zstd', 'gzip', None)
    """
    known = weights(header)
    ours = {name: known.get(name, known.get("*", 0.0)) for name in ("zstd", "gzip")}
    best = max(ours, key=lambda name: ours[name])
    return best if ours[best] > 0 else None


def _is_text(start: Message) -> bool:
    headers = Headers(scope=start)
    media_type = headers.get("content-type", "").partition(";")[0]
    kept = {"content-encoding", "content-range", "accept-ranges"} & {*headers.keys()}
    return start["status"] in _WHOLE and media_type in _TYPES and not kept


def _begin(start: Message, coding: str) -> Compressor:
    headers = MutableHeaders(scope=start)
    headers["Content-Encoding"] = coding
    del headers["Content-Length"]
    etag = headers.get("etag", "")
    if etag.startswith('"'):  # other bytes than those it was made of
        headers["ETag"] = f"W/{etag}"
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)
