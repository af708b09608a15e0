"""Looking at jobs."""

import base64
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from raiw.canonical import canonical_json
from raiw.errors import InvalidInput, NotFound
from service.contract.errors import InvalidPageToken
from service.contract.jobs import EventPage, JobPage, JobStatus, JobSummary, View
from service.jobs.services import Services
from service.jobs.views import event_view, job_summary
from service.store import jobs, requests, short_ids

PAGE_BYTES = 1 << 20
"""A page of more bytes ends early, after at least one item."""
Item = TypeVar("Item", bound=View)


_SHORTEST_ID = len("job_") + 4
"""Fewest characters of an id that stand for all of it."""


def get_job(services: Services, job_id: str) -> JobSummary:
    """Return a job by its id, or by a beginning that no other job's id has.

    Raises
    ------
    NotFound
        There is no such job, or it has been removed.
    InvalidInput
        Several ids begin so.
    """
    with services.database.read() as session:
        shown = jobs.show(session, job_id) or jobs.show(session, full_id(session, job_id))
    if shown is None:
        raise _no_job(job_id)
    return job_summary(shown)


def full_id(session: Session, job_id: str) -> str:
    """Return the id that begins so; raises what :func:`get_job` does."""
    found = short_ids.beginning_with(session, job_id, 3) if len(job_id) >= _SHORTEST_ID else ()
    if job_id in found:
        return job_id
    if not found:
        raise _no_job(job_id)
    if len(found) > 1:
        raise InvalidInput(f"several jobs are called {job_id}…: {', '.join(found)}")
    return found[0]


def open_request(services: Services, job_id: str) -> bytes:
    """Return what a job was asked for: JSON, compressed by zlib.

    Raises
    ------
    NotFound
        There is no such job, or it has been removed.
    """
    with services.database.read() as session:
        packed = requests.packed_of(session, job_id)
    if packed is None:
        raise _no_job(job_id)
    return packed


def list_jobs(
    services: Services, *, status: JobStatus | None, page_size: int, page_token: str
) -> JobPage:
    """Return a page of jobs, newest first."""
    before = _decode(page_token, status) if page_token else None
    with services.database.read() as session:
        found = map(job_summary, jobs.page(session, status, before, page_size + 1))
        items, more = _page(found, page_size)
    return JobPage(items=items, next_page_token=_encode(items[-1], status) if more else "")


def list_events(services: Services, job_id: str, *, after: int, limit: int) -> EventPage:
    """Return the events of a job later than number ``after``, oldest first."""
    with services.database.read() as session:
        if not jobs.standings(session, [job_id]):
            job_id = full_id(session, job_id)
        found = map(event_view, jobs.events_after(session, job_id, after, limit + 1))
        items, more = _page(found, limit)
    return EventPage(items=items, next_page_token=str(items[-1].seq) if more else "")


def _page(found: Iterable[Item], most: int) -> tuple[list[Item], bool]:
    """Return what fits a page, by number and by bytes, and whether there is more."""
    items: list[Item] = []
    size = 0
    for item in found:
        size += len(item.model_dump_json())
        if items and (len(items) == most or size > PAGE_BYTES):
            return items, True
        items.append(item)
    return items, False


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"no job {job_id!r}")


def _encode(job: JobSummary, status: JobStatus | None) -> str:
    text = canonical_json([job.created_at.isoformat(), job.id, status])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(token: str, status: JobStatus | None) -> tuple[datetime, str]:
    try:
        padded = token + "=" * (-len(token) % 4)
        created_at, job_id, of_status = json.loads(base64.urlsafe_b64decode(padded))
        str(job_id).encode()  # no lone surrogate, which JSON can say and databases cannot
        position = datetime.fromisoformat(created_at).astimezone(UTC), str(job_id)
    except (ValueError, TypeError, OverflowError):
        position, of_status = None, ""
    if position is None or of_status != status:
        raise InvalidPageToken("the page token was not made for this list: start again without it")
    return position
