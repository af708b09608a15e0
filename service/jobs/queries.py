"""Looking at jobs."""

import base64
import json
from datetime import UTC, datetime

from raiw.canonical import canonical_json
from raiw.errors import NotFound
from service.contract.errors import InvalidPageToken
from service.contract.jobs import EventPage, JobPage, JobStatus, JobView
from service.jobs.services import Services
from service.jobs.views import event_view, job_view
from service.store import jobs, masks
from service.store.tables import Job


def get_job(services: Services, job_id: str) -> JobView:
    """Return a job.

    Raises
    ------
    NotFound
        There is no such job, or it was removed after its time.
    """
    with services.database.read() as session:
        job = jobs.find(session, job_id)
        if job is None:
            raise NotFound(f"no job {job_id!r}")
        return job_view(job, masks.find(session, job.mask_digest) if job.mask_digest else None)


def list_jobs(
    services: Services, *, status: JobStatus | None, page_size: int, page_token: str
) -> JobPage:
    """Return a page of jobs, newest first."""
    before = _decode(page_token, status) if page_token else None
    with services.database.read() as session:
        found = jobs.page(session, status, before, page_size + 1)
        shown = found[:page_size]
        views = [
            job_view(job, masks.find(session, job.mask_digest) if job.mask_digest else None)
            for job in shown
        ]
    more = len(found) > page_size
    return JobPage(items=views, next_page_token=_encode(shown[-1], status) if more else "")


def list_events(services: Services, job_id: str, *, after: int, limit: int) -> EventPage:
    """Return the events of a job later than number ``after``, oldest first."""
    with services.database.read() as session:
        if jobs.find(session, job_id) is None:
            raise NotFound(f"no job {job_id!r}")
        found = jobs.events_after(session, job_id, after, limit + 1)
    items = [event_view(event) for event in found[:limit]]
    more = len(found) > limit
    return EventPage(items=items, next_page_token=str(items[-1].seq) if more else "")


def _encode(job: Job, status: JobStatus | None) -> str:
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
