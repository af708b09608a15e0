"""JSON bodies: read with a bound on memory, decoded and validated in a few threads.

A few megabytes of JSON must never stall the event loop, which serves everybody: a body's values are
counted before it is decoded, and decoding and validation run in threads, a few at a time, in the
order in which the bodies came. A small body takes less time than its way to a thread and back.
"""

import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from raiw.errors import TooLarge
from raiw.names import clipped
from service.access.scopes import allow, declared
from service.contract.errors import Busy

MAX_VALUES = 300_000
"""Most names and values of one body; the largest spec has fewer."""

SMALL_BYTES = 4 << 10
"""A body of no more makes ``request.state.small`` true."""
_HELD_BYTES = 64 << 20
"""Most bytes of bodies in memory, over all clients together."""
_THREADS = 2
"""They compute, and only one thread can at a time."""
_LARGE_BYTES = 128 << 10
_LARGE_AT_ONCE = 2

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Bodies:
    """The memory and threads that bodies may use in one application."""

    def __init__(self) -> None:
        self.threads = anyio.CapacityLimiter(_THREADS)
        self.large = anyio.CapacityLimiter(_LARGE_AT_ONCE)
        """For large ones, from their decoding until their route has answered."""
        self._held = 0

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts bytes as held until the end of the block.

        The call raises :class:`Busy` where all bodies together would take too much memory.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._held + size > _HELD_BYTES:
                raise Busy(
                    f"the requests under way hold {_HELD_BYTES} bytes together: try again soon"
                )
            self._held += size
            taken += size

        try:
            yield take
        finally:
            self._held -= taken


class BodyRoute(APIRoute):
    """A route whose JSON body does not block the event loop."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler, which finds the body already validated."""
        handle: Handler = super().get_route_handler()
        return handle if self.body_field is None else self._reading(handle)

    def _reading(self, handle: Handler) -> Handler:
        async def handle_body(request: Request) -> Response:
            if (scope := declared(self)) is not None:  # before the body is read
                await allow(request, scope)
            if not _is_json(request):
                sent = clipped(request.headers.get("content-type", "nothing"), 100)
                raise HTTPException(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    f"the body must be application/json; Content-Type says {sent}",
                )
            bodies: Bodies = request.app.state.bodies
            with bodies.hold() as take:
                body = await _read(request, take)
                if len(body) <= _LARGE_BYTES:
                    return await handle(await self._validated(request, bodies, body))
                async with bodies.large:
                    return await handle(await self._validated(request, bodies, body))

        return handle_body

    async def _validated(self, request: Request, bodies: Bodies, body: bytearray) -> Request:
        def validate() -> Any:
            assert self.body_field is not None, "only such routes come here"  # noqa: S101
            return self.body_field.validate(_decode(body), {}, loc=("body",))

        if not body:
            return _ReadRequest(request, b"", None)
        small = request.state.small = len(body) <= SMALL_BYTES
        if small:
            value, faults = validate()
        else:
            value, faults = await anyio.to_thread.run_sync(validate, limiter=bodies.threads)
        if faults:
            raise RequestValidationError(faults)
        return _ReadRequest(request, b"{}", value)


class _ReadRequest(Request):
    """A request whose body was read, and whose JSON is a validated document."""

    def __init__(self, request: Request, body: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._read = body
        self._value = value

    async def body(self) -> bytes:
        """Return a stand-in for the body: only whether it is empty matters."""
        return self._read

    async def json(self) -> Any:
        """Return the document."""
        return self._value


async def _read(request: Request, take: Callable[[int], None]) -> bytearray:
    body = bytearray()
    async for piece in request.stream():
        take(len(piece))
        body += piece
    return body


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _decode(body: bytearray) -> Any:
    """Decode JSON text; its commas and colons tell how much it holds."""
    if body.count(b",") + body.count(b":") > MAX_VALUES:
        raise TooLarge(
            f"the body holds more than {MAX_VALUES} names and values (commas and colons): split it",
            limit=MAX_VALUES,
        )
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        detail = f"the body is not JSON: {error.msg} at byte {error.pos}"
    except (ValueError, RecursionError) as error:
        detail = f"the body cannot be read as JSON: {clipped(str(error))}"
    raise HTTPException(HTTPStatus.BAD_REQUEST, detail)
