"""What wraps every request, as plain ASGI: its id, its body, its headers and its measurements."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import internal_error
from service.logs import request_id

logger = logging.getLogger(__name__)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINGER_SECONDS = 2.0
_PAUSE_SECONDS = 30.0
"""A client that sends nothing of its body for this long is gone."""

_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Observe = Callable[[str, str, int, float], None]
"""``observe(method, route, status, seconds)``."""


class RequestContext:
    """Gives requests an id, responses their security headers, and defects a clean answer."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        identity = sent if _ACCEPTED_ID.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        request_id.set(identity)
        began = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = identity
                headers.update(scope["state"].get("rate", {}))
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            logger.info("request %s: the client went away", identity)
        except Exception:
            logger.exception("request %s failed", identity)
            if status:
                raise  # too late for an answer: the connection has to break
            await internal_error(Request(scope))(scope, receive, send_marked)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._observe(scope["method"], route, status, time.perf_counter() - began)


class RequestBody:
    """Limits a request's body and its pace, refuses encoded bodies, and ends unread ones cleanly.

    Only the time in which the server waits for the client counts towards its pace.

    A route that streams its body raises ``request.state.body_limit`` before it reads. When the
    answer comes before the whole body has, the connection cannot be used again; closing it at once
    would reset it and could cost the client the answer, so what arrives meanwhile is dropped for a
    moment.
    """

    def __init__(self, app: ASGIApp, limit: int, min_rate: int) -> None:
        self._app = app
        self._limit = limit
        self._min_rate = min_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = int(headers.get("content-length", "0"))
        unread = declared > 0 or "transfer-encoding" in headers
        scope.setdefault("state", {})["body_limit"] = self._limit
        pace, count = _Pace(receive, self._min_rate), 0

        async def receive_bounded() -> Message:
            nonlocal count, unread
            limit = scope["state"]["body_limit"]
            if "content-encoding" in headers:
                raise HTTPException(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    "Content-Encoding is not accepted: send the body as it is",
                )
            if declared > limit:
                raise _too_large(limit)
            message = await (pace.receive(count) if unread else receive())
            count += len(message.get("body", b""))
            unread = message.get("more_body", False)
            if count > limit:
                raise _too_large(limit)
            return message

        async def send_politely(message: Message) -> None:
            if message["type"] == "http.response.start" and unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and unread:
                await send({**message, "more_body": True})
                await _drop_rest(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, receive_bounded, send_politely)


class _Pace:
    """Waits for the pieces of a body while the client keeps up the rate."""

    def __init__(self, receive: Receive, min_rate: int) -> None:
        self._receive = receive
        self._min_rate = min_rate
        self._waited = 0.0

    async def receive(self, count: int) -> Message:
        """Return the next piece, after ``count`` bytes.

        Raises
        ------
        HTTPException
            408: the client took too long, for this piece or in total.
        """
        began = time.monotonic()
        left = min(_PAUSE_SECONDS, _PAUSE_SECONDS + count / self._min_rate - self._waited)
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body came too slowly, {count} bytes so far: send {self._min_rate} bytes a "
                f"second or more, and pause for {_PAUSE_SECONDS:.0f} seconds at most",
            ) from None
        finally:
            self._waited += time.monotonic() - began


def _too_large(limit: int) -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the {limit} bytes allowed"
    )


async def _drop_rest(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass
