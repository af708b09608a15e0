"""The transport of :class:`raiw.AsyncClient`: the same requests, sent by asyncio.

The client's code is written once, without ``await``. For asyncio it runs in a greenlet, from which
each wait, for an answer, a piece of one or a pause, switches back to the event loop. So a request,
its retries and what is made of its answer stand in one place, and nothing blocks the loop but
reading and writing of files, a mebibyte at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import httpx
from greenlet import getcurrent, greenlet

from raiw.client.deadline import Deadline
from raiw.client.transport import DEADLINE, Transport

P = ParamSpec("P")
T = TypeVar("T")

_ENDED: Any = object()


class _Work(greenlet):
    """Runs what was written without ``await``."""


def wait_for(awaitable: Awaitable[T]) -> T:
    """Return the result of what must be awaited; only for code that :func:`in_loop` runs."""
    work = getcurrent()
    loop = work.parent
    assert isinstance(work, _Work) and loop, "called by in_loop"  # noqa: S101, PT018
    result: T = loop.switch(awaitable)
    return result


async def in_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that may call :func:`wait_for`, and await what it waits for."""
    work = _Work(function)
    result = work.switch(*args, **kwargs)
    while not work.dead:
        try:
            value = await result
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the function is told
            result = work.throw(error)
        else:
            result = work.switch(value)
    done: T = result
    return done


async def iterate(items: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Yield what an iterator yields whose steps may call :func:`wait_for`."""
    iterator = await in_loop(items)
    try:
        while (item := await in_loop(next, iterator, _ENDED)) is not _ENDED:
            yield item
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            await in_loop(close)


class AsyncTransport(Transport):
    """A transport whose connections and pauses belong to the running event loop."""

    def _connect(self, **options: Any) -> Any:
        del options["event_hooks"]  # what is awaited can be ended at the deadline
        return _Connections(httpx.AsyncClient(**options))

    def pause(self, seconds: float) -> None:
        """Let others work for a while."""
        wait_for(asyncio.sleep(seconds))


class _Connections:
    """What a transport uses of ``httpx.Client``, done by ``httpx.AsyncClient``."""

    def __init__(self, connections: httpx.AsyncClient) -> None:
        self._connections = connections

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        content = options.get("content")
        if isinstance(content, Iterator):
            options["content"] = _pieces(content)
        return wait_for(_within(options, self._connections.request(method, path, **options)))

    @contextmanager
    def stream(
        self, method: str, path: str, *, follow_redirects: bool, **options: Any
    ) -> Iterator["_Streamed"]:
        request = self._connections.build_request(method, path, **options)
        sent = self._connections.send(request, stream=True, follow_redirects=follow_redirects)
        response = wait_for(_within(options, sent))
        try:
            yield _Streamed(response, options)
        finally:
            wait_for(response.aclose())

    def close(self) -> None:
        wait_for(self._connections.aclose())


class _Streamed:
    """What is used of ``httpx.Response`` while its body arrives."""

    def __init__(self, response: httpx.Response, options: dict[str, Any]) -> None:
        self._response = response
        self._options = options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def read(self) -> bytes:
        return wait_for(_within(self._options, self._response.aread()))

    def iter_raw(self) -> Iterator[bytes]:
        return self._steps(self._response.aiter_raw())

    def iter_lines(self) -> Iterator[str]:
        return self._steps(self._response.aiter_lines())

    def _steps(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> T:
            return await anext(items, _ENDED)

        while (item := wait_for(_within(self._options, step()))) is not _ENDED:
            yield item


async def _within(options: dict[str, Any], work: Awaitable[T]) -> T:
    """Await something until the deadline of its request, as ``Bounded`` does without asyncio.

    Raises
    ------
    httpx.ReadTimeout
        The deadline has passed.
    """
    deadline: Deadline = options["extensions"][DEADLINE]
    left = None if deadline.seconds is None else deadline.left
    try:
        async with asyncio.timeout(left):
            return await work
    except TimeoutError:
        raise httpx.ReadTimeout("the deadline has passed") from None


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece
