"""Answers that wait for a job: long polls and server-sent events."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from raiw.errors import NotFound, Unauthorized
from service.access.authentication import require_again
from service.api.watching import Watcher
from service.contract.jobs import ENDED, EventView, JobStatus, JobSummary
from service.jobs.queries import list_events
from service.jobs.services import Services
from service.store.jobs import Standing

LONGEST_WAIT_SECONDS = 30
_LONGEST_STREAM_SECONDS = 600.0
_KEEP_ALIVE_SECONDS = 15.0
_DISCONNECT_SECONDS = 1.0
"""How soon a departed client is noticed, and a key that has ended."""
_RETRY_MILLISECONDS = 3000
_BATCH = 100
_POLL_SECONDS = 0.25
Found = TypeVar("Found")
_WAIT = re.compile(
    r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})"?\s*(?:$|[,;])', re.ASCII | re.IGNORECASE
)


def preferred_wait(request: Request) -> int:
    """Return the seconds of ``Prefer: wait=N``, at most 30; 0 when the client did not ask."""
    match = _WAIT.search(", ".join(request.headers.getlist("prefer")))
    return min(int(match[1]), LONGEST_WAIT_SECONDS) if match else 0


async def wait_for_end(request: Request, job_id: str, seconds: float) -> None:
    """Return once the job has ended, is gone, or the time is over.

    Raises
    ------
    Unauthorized
        The key of the request has ended first; :func:`poll` and :func:`event_stream` see to it too.
    """
    give_up = time.monotonic() + seconds
    standing: Standing | None = Standing(JobStatus.QUEUED, 0)
    while standing is not None and standing.status not in ENDED:
        standing = await _news(request, job_id, standing.events, give_up)


async def poll(request: Request, look: Callable[[], Found], seconds: float) -> Found | None:
    """Return the first true result of a look at the database; None once the time is over."""
    give_up = time.monotonic() + seconds
    while (left := give_up - time.monotonic()) > 0 and not await _over(request):
        await require_again(request)
        await asyncio.sleep(min(left, _POLL_SECONDS))
        if found := await run_in_threadpool(look):
            return found
    return None


async def event_stream(
    services: Services, request: Request, job: JobSummary, after: int
) -> AsyncIterator[bytes]:
    """Yield a job's events after number ``after`` until it has ended, in SSE form.

    A client whose stream ends earlier (after 10 minutes, or because the database went away) comes
    back with ``Last-Event-ID`` and misses nothing. One whose key has ended is then told so.
    """
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    give_up = time.monotonic() + _LONGEST_STREAM_SECONDS
    ended = job.done
    try:
        while True:
            page = await run_in_threadpool(list_events, services, job.id, after=after, limit=_BATCH)
            for event in page.items:
                yield _sse(event)
                after = event.seq
                ended = ended or _is_end(event)
            if page.next_page_token:
                continue
            if ended or time.monotonic() > give_up or await _over(request):
                return
            silent = time.monotonic() + _KEEP_ALIVE_SECONDS
            if await _news(request, job.id, after, min(silent, give_up)) is None:
                yield KEEPALIVE_COMMENT
    except (SQLAlchemyError, NotFound, Unauthorized):
        return


async def _news(request: Request, job_id: str, events: int, give_up: float) -> Standing | None:
    """Return a job's state once it has more events; None when there is no point in waiting."""
    watcher: Watcher = request.app.state.watcher
    news = watcher.watch(job_id, events)
    try:
        while not news.done():
            left = give_up - time.monotonic()
            if left <= 0 or await request.is_disconnected():
                return None
            await require_again(request)
            await asyncio.wait((news,), timeout=min(left, _DISCONNECT_SECONDS))
        return news.result()
    finally:
        news.cancel()


async def _over(request: Request) -> bool:
    closing: threading.Event = request.app.state.closing
    return closing.is_set() or await request.is_disconnected()


def _sse(event: EventView) -> bytes:
    return format_sse_event(event=event.event, data_str=event.model_dump_json(), id=str(event.seq))


def _is_end(event: EventView) -> bool:
    return event.event == "status" and event.data.get("status") in ENDED
