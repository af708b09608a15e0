"""``/v1/jobs``: submit, show, list, cancel, follow."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from raiw.names import clipped
from service.access.scopes import needs
from service.api.answers import JobResponse, not_modified
from service.api.awaited import AwaitedDatabase
from service.api.bodies import BodyRoute
from service.api.dependencies import (
    Id,
    IdempotencyKey,
    JobBody,
    NotesQuery,
    PageSize,
    ServicesDep,
)
from service.api.document import headers, parameters
from service.api.polls import Polls
from service.api.streams import event_stream, preferred_wait
from service.contract.access import Scope
from service.contract.jobs import EventPage, JobPage, JobView
from service.contract.preferences import takes
from service.contract.queries import MAX_PAGE, JobQuery, noted
from service.jobs import cancel as canceling
from service.jobs import queries
from service.jobs.submit import submit, submit_at_once

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=BodyRoute)

_MAX_SEQ = (1 << 31) - 1
_WAITED = ("Preference-Applied",)
_MADE = (*_WAITED, "Idempotent-Replayed")


@router.post(
    "",
    dependencies=[needs(Scope.JOBS_WRITE)],
    response_model=JobView,
    responses={
        200: {
            "description": "The job has ended; on a hit, the result was already stored.",
            "headers": headers("Location", "X-Raiw-Cache", perhaps=_MADE),
        },
        202: {
            "model": JobView,
            "description": "The job is queued or running: follow `Location`.",
            "headers": headers("Location", "X-Raiw-Cache", "Retry-After", perhaps=_MADE),
        },
    },
    openapi_extra=parameters("Prefer"),
)
async def create_job(
    services: ServicesDep, request: Request, body: JobBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for masks or, by `kind`, for importance scores, a pruned network or a trained one.

    The same request always means the same result, so it can be repeated freely: `X-Raiw-Cache` says
    `hit` (stored already), `joined` (a job is making it) or `created`. `Prefer: wait=N` delays the
    answer for up to 30 seconds until the job has ended.
    """
    awaited: AwaitedDatabase = request.app.state.awaited
    submission = None
    if awaited.database and request.state.small and idempotency_key is None:
        submission = await awaited.run(submit_at_once, services, body)
    if submission is None:
        submission = await run_in_threadpool(submit, services, body, idempotency_key)
    request.app.state.metrics.submitted(body.kind, submission.outcome)
    headers = {"Location": submission.job.urls.self, "X-Raiw-Cache": submission.outcome}
    if submission.replayed:
        headers["Idempotent-Replayed"] = "true"
    return JobResponse(
        services,
        submission.job,
        unfinished=HTTPStatus.ACCEPTED,
        packed=submission.packed,
        headers=headers,
    )


@router.get("", dependencies=[needs(Scope.JOBS_READ)])
def list_jobs(services: ServicesDep, wanted: Annotated[JobQuery, Query()]) -> JobPage:
    """List the jobs for which all of this holds, newest first, without what they were asked for."""
    return queries.list_jobs(services, wanted)


@router.get(
    "/{job_id}",
    dependencies=[needs(Scope.JOBS_READ)],
    response_model=JobView,
    responses={
        200: {"headers": headers("ETag", perhaps=("Retry-After", *_WAITED))},
        304: {
            "description": "Unchanged.",
            "headers": headers("ETag", perhaps=("Retry-After", *_WAITED)),
        },
    },
    openapi_extra=parameters("Prefer", "If-None-Match"),
)
async def get_job(services: ServicesDep, request: Request, job_id: Id) -> Response:
    """Show a job, whatever its outcome; `Prefer: wait=N` waits up to 30 seconds for its end."""
    if "if-none-match" in request.headers and not preferred_wait(request):
        polls: Polls = request.app.state.polls
        unchanged = not_modified(request, await polls.look(services.owner, job_id))
        if unchanged is not None:
            return unchanged
    awaited: AwaitedDatabase = request.app.state.awaited
    job, packed = await awaited.run(queries.get_job_and_request, services, job_id)
    return JobResponse(services, job, tagged=True, packed=packed)


@router.post(
    "/{job_id}/cancel",
    dependencies=[needs(Scope.JOBS_WRITE)],
    response_model=JobView,
    responses={
        202: {
            "model": JobView,
            "description": "A worker has been asked to stop.",
            "headers": headers("Retry-After"),
        }
    },
)
def cancel_job(
    services: ServicesDep,
    job_id: Id,
    metadata: NotesQuery,
    user_agent: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Cancel a job: a queued one at once, a running one within seconds.

    The job tells who asked: the client's `User-Agent`, and what it notes as `metadata`.
    """
    job = canceling.cancel(services, job_id, clipped(user_agent, 200), noted(metadata))
    return JobResponse(services, job, unfinished=HTTPStatus.ACCEPTED)


@router.get(
    "/{job_id}/events",
    dependencies=[needs(Scope.JOBS_READ)],
    response_model=EventPage,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "The job has ended and the stream's client has seen it all."},
    },
)
async def list_events(
    services: ServicesDep,
    request: Request,
    job_id: Id,
    after: Annotated[int, Query(ge=0, le=_MAX_SEQ)] = 0,
    page_size: PageSize = 50,
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Read a job's events after number `after`.

    With `Accept: text/event-stream` they are streamed until the job has ended; `Last-Event-ID`
    resumes exactly. A stream lasts ten minutes at most: connect again.
    """
    seen = int(last_event_id) if _is_seq(last_event_id) else after
    streamed = takes(request.headers.get("accept", ""), "text/event-stream")
    limit = 1 if streamed else min(page_size, MAX_PAGE)
    page = await run_in_threadpool(queries.list_events, services, job_id, after=seen, limit=limit)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    if not streamed:
        return Response(page.model_dump_json(), headers=headers, media_type="application/json")
    job = await run_in_threadpool(queries.get_job, services, job_id)
    if job.done and last_event_id and not page.items:
        # To an EventSource this says: do not connect again.
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    headers["X-Accel-Buffering"] = "no"
    return EventSourceResponse(event_stream(services, request, job, seen), headers=headers)


def _is_seq(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _MAX_SEQ
