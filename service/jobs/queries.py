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
from service.contract.jobs import EventPage, JobPage, JobSummary, View
from service.contract.queries import JobQuery, ListQuery
from service.jobs.services import Services
from service.jobs.views import event_view, job_summary
from service.store import notes, short_ids, shown
from service.store.shown import ShownJob

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
    with services.database.look() as session:
        owner = services.owner
        found = describe(session, owner, job_id)
        found = found or describe(session, owner, full_id(session, owner, job_id))
    if found is None:
        raise _no_job(job_id)
    return found


def get_job_and_request(services: Services, job_id: str) -> tuple[JobSummary, bytes]:
    """Return what :func:`get_job` and :func:`open_request` do, and raise what they do."""
    job = get_job(services, job_id)
    return job, open_request(services, job.id)


def describe(session: Session, owner: str, job_id: str) -> JobSummary | None:
    """Return a job within a transaction; None if its owner has none."""
    found = shown.show(session, owner, job_id)
    return None if found is None else summary(session, found)


def summary(session: Session, found: ShownJob) -> JobSummary:
    """Return a job as clients see it, with what those who joined it noted."""
    others = notes.of_others(session, found.job.id) if found.job.joined else []
    return job_summary(found, others)


def full_id(session: Session, owner: str, job_id: str) -> str:
    """Return the owner's id that begins so; raises what :func:`get_job` does."""
    begins = len(job_id) >= _SHORTEST_ID
    found = short_ids.beginning_with(session, owner, job_id, 3) if begins else ()
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
    with services.database.look() as session:
        packed = shown.packed_of(session, services.owner, job_id)
    if packed is None:
        raise _no_job(job_id)
    return packed


def list_jobs(services: Services, wanted: JobQuery) -> JobPage:
    """Return a page of jobs, newest first."""
    before = page_start(wanted)
    with services.database.read() as session:
        rows = shown.page(session, services.owner, wanted, before, wanted.most + 1)
        found = map(job_summary, rows)
        items, more = page_of(found, wanted.most)
    token = token_of(items[-1].created_at, items[-1].id, wanted) if more else ""
    return JobPage(items=items, next_page_token=token)


def list_events(services: Services, job_id: str, *, after: int, limit: int) -> EventPage:
    """Return the events of a job later than number ``after``, oldest first."""
    with services.database.read() as session:
        if not shown.is_there(session, services.owner, job_id):
            job_id = full_id(session, services.owner, job_id)
        found = map(event_view, shown.events_after(session, job_id, after, limit + 1))
        items, more = page_of(found, limit)
    return EventPage(items=items, next_page_token=str(items[-1].seq) if more else "")


def page_of(found: Iterable[Item], most: int) -> tuple[list[Item], bool]:
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


def token_of(created_at: datetime, name: str, wanted: ListQuery) -> str:
    """Return the token of the page after an item of a list."""
    text = canonical_json([created_at.isoformat(), name, wanted.identity])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page_start(wanted: ListQuery) -> tuple[datetime, str] | None:
    """Return time and name of the item after which a page begins, None for the first page.

    Raises
    ------
    InvalidPageToken
        The token was not made for this list.
    """
    token = wanted.page_token
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        created_at, name, of_list = json.loads(base64.urlsafe_b64decode(padded))
        str(name).encode()  # no lone surrogate, which JSON can say and databases cannot
        position = datetime.fromisoformat(created_at).astimezone(UTC), str(name)
    except (ValueError, TypeError, OverflowError):
        position, of_list = None, ""
    if position is None or of_list != wanted.identity:
        raise InvalidPageToken("the page token was not made for this list: start again without it")
    return position
