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
        del options["event_hooks"]  # asyncio.timeout holds an answer to its deadline here
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
        with self.stream(method, path, **options) as answer:
            answer.read()
            return answer.response

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator["_Streamed"]:
        request = self._connections.build_request(method, path, **options)
        response = wait_for(self._connections.send(request, stream=True))
        try:
            yield _Streamed(response)
        finally:
            wait_for(response.aclose())

    def close(self) -> None:
        wait_for(self._connections.aclose())


class _Streamed:
    """What is used of ``httpx.Response`` while its body arrives."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)

    def read(self) -> bytes:
        return self._in_time(self.response.aread())

    def iter_raw(self, size: int | None = None) -> Iterator[bytes]:
        return self._steps(self.response.aiter_raw(size))

    def iter_lines(self) -> Iterator[str]:
        return self._steps(self.response.aiter_lines())

    def _steps(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> T:
            return await anext(items, _ENDED)

        while (item := self._in_time(step())) is not _ENDED:
            yield item

    def _in_time(self, awaitable: Awaitable[T]) -> T:
        request = self.response.request
        deadline: Deadline = request.extensions[DEADLINE]

        async def bounded() -> T:
            async with asyncio.timeout(None if deadline.seconds is None else deadline.left):
                return await awaitable

        try:
            return wait_for(bounded())
        except TimeoutError:
            deadline.check(f"the answer of {request.url}")
            raise


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece
