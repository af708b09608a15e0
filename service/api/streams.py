"""Answers that wait: long polls and server-sent events.

Both look at the database now and then, from a thread and with a session that is closed again at
once, so a thousand waiting clients hold no connection. The first looks come quickly, since most
jobs are short.
"""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.contract.jobs import ENDED, EventView, JobView
from service.jobs.queries import get_job, list_events
from service.jobs.services import Services

LONGEST_WAIT_SECONDS = 30
_LONGEST_STREAM_SECONDS = 600.0
_KEEP_ALIVE_SECONDS = 15.0
_RETRY_MILLISECONDS = 3000
_BATCH = 100
_WAIT = re.compile(
    r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})"?\s*(?:$|[,;])', re.ASCII | re.IGNORECASE
)


def preferred_wait(request: Request) -> int:
    """Return the seconds of ``Prefer: wait=N``, at most 30; 0 when there is no such wish."""
    match = _WAIT.search(", ".join(request.headers.getlist("prefer")))
    return min(int(match[1]), LONGEST_WAIT_SECONDS) if match else 0


class LaterResponse(Response):
    """A response that is made when it is sent: while it waits, the request's body is forgotten."""

    def __init__(self, make: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the response and send it."""
        response = await self._make()
        await response(scope, receive, send)


async def wait_for_end(
    services: Services, request: Request, job: JobView, seconds: float
) -> JobView:
    """Return the job once it has ended, or as it stands when the time is over."""
    give_up = time.monotonic() + seconds
    pauses = _pauses()
    while not job.done and (left := give_up - time.monotonic()) > 0 and not await _over(request):
        await asyncio.sleep(min(next(pauses), left))
        job = await run_in_threadpool(get_job, services, job.id)
    return job


async def event_stream(
    services: Services, request: Request, job: JobView, after: int
) -> AsyncIterator[bytes]:
    """Yield the events of a job later than ``after`` until it has ended, in SSE form.

    A client whose stream ends earlier (after 10 minutes, or because the database went away) comes
    back with ``Last-Event-ID``, and misses nothing.
    """
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    began = spoke = time.monotonic()
    ended = job.done
    pauses = _pauses()
    while True:
        try:
            page = await run_in_threadpool(list_events, services, job.id, after=after, limit=_BATCH)
        except SQLAlchemyError:
            return
        for event in page.items:
            yield _sse(event)
            after = event.seq
            ended = ended or _is_end(event)
        now = time.monotonic()
        if page.items:
            spoke, pauses = now, _pauses()
        if page.next_page_token:
            continue
        if ended or now - began > _LONGEST_STREAM_SECONDS or await _over(request):
            return
        if now - spoke > _KEEP_ALIVE_SECONDS:
            yield KEEPALIVE_COMMENT
            spoke = now
        await asyncio.sleep(next(pauses))


async def _over(request: Request) -> bool:
    closing: threading.Event = request.app.state.closing
    return closing.is_set() or await request.is_disconnected()


def _sse(event: EventView) -> bytes:
    return format_sse_event(event=event.event, data_str=event.model_dump_json(), id=str(event.seq))


def _is_end(event: EventView) -> bool:
    return event.event == "status" and event.data.get("status") in ENDED


def _pauses() -> Iterator[float]:
    pause = 0.01
    while True:
        yield pause
        pause = min(pause * 1.3, 0.25)
