"""``/`` and ``/jobs/{id}``: all jobs, and one of them."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import yaml
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from raiw.jobs.registry import KINDS
from raiw.specs.dead import told
from service.access.scopes import needs
from service.contract.access import Scope
from service.contract.jobs import ENDED, EventView, JobStatus, JobSummary
from service.contract.queries import JobSearch, TokenOfPage
from service.jobs import again, cancel, queries
from service.jobs.services import Services
from service.jobs.submit import submit
from service.pages import shells
from service.pages.asking import JobId, PageServices
from service.pages.curves import training_curves
from service.pages.rendering import HEADERS, render, see

router = APIRouter()

_EVENTS_AT_ONCE = 1000
_MOST_EVENTS = 5000
"""What is read of a job's events: a training of so many epochs has all its curves."""
_SHOWN_EVENTS = 100
_SHOWN_REQUEST = 20_000
"""Characters of what a job was asked for, and of its report, that its page repeats."""


@router.get("/", dependencies=[needs(Scope.JOBS_READ)])
def list_jobs(
    services: PageServices,
    request: Request,
    status: str = "",
    kind: str = "",
    text: Annotated[str, Query(max_length=200)] = "",
    page_token: TokenOfPage = "",
) -> Response:
    """Show the newest jobs, or older ones, or those of a state, a kind or a text."""
    wanted = JobSearch(
        status=JobStatus(status) if status in {*JobStatus} else None,
        kind=kind if kind in KINDS else None,
        text=text.strip().replace("\0", ""),
        page_token=page_token,
    )
    page = queries.list_jobs(services, wanted)
    return render(
        request,
        "jobs.html",
        jobs=page.items,
        older=page.next_page_token,
        first=not page_token,
        chosen={"status": status, "kind": kind, "text": text},
        statuses=[*JobStatus],
        kinds=[*KINDS],
        live=any(not job.done for job in page.items),
        server=shells.origin(request),
    )


@router.get("/jobs/{job_id}", dependencies=[needs(Scope.JOBS_READ)])
def show_job(services: PageServices, request: Request, job_id: JobId) -> Response:
    """Show a job: how far it is, what it has made, and what it was asked for."""
    job = queries.get_job(services, job_id)
    body = again.request_again(services, job_id)
    events = [*_events(services, job_id)]
    asked = _written(body)
    dead = job.result.dead_units if job.result else None
    report = (job.result.report if job.result else None) or {}
    reported = _written(report) if report else ""
    return render(
        request,
        "job.html",
        job=job,
        steps=KINDS[job.kind].steps if job.kind in KINDS else "steps",
        seconds=_seconds(job),
        events=events[-_SHOWN_EVENTS:],
        last_event=events[-1].seq if events else 0,
        left_out=max(len(events) - _SHOWN_EVENTS, 0),
        curves=training_curves(events),
        dead=told(dead) if dead else "",
        asked=asked[:_SHOWN_REQUEST],
        asked_whole=len(asked) <= _SHOWN_REQUEST,
        commands=shells.commands(request, job, body),
        report=reported[:_SHOWN_REQUEST],
        report_whole=len(reported) <= _SHOWN_REQUEST,
        measured=report,
        compared=_compared(report) if job.kind == "study" and report else None,
        pruned=_before_and_after(report),
        runs=report.get("runs", []) if job.kind == "speed" else [],
    )


@router.get("/jobs/{job_id}/request.json", dependencies=[needs(Scope.JOBS_READ)])
def download_request(services: PageServices, job_id: JobId) -> Response:
    """Download the body of a request that asks for the same."""
    body = json.dumps(again.request_again(services, job_id), indent=1, ensure_ascii=False)
    return _attached(f"{body}\n", "request.json", "application/json")


@router.get("/jobs/{job_id}/spec.yaml", dependencies=[needs(Scope.JOBS_READ)])
def download_spec(services: PageServices, job_id: JobId) -> Response:
    """Download the spec of a job that has one, as commands take it."""
    spec = again.request_again(services, job_id).get("spec") or {}
    return _attached(_written(spec), "spec.yaml", "application/yaml")


@router.post("/jobs/{job_id}/cancel", dependencies=[needs(Scope.JOBS_WRITE)])
def cancel_job(services: PageServices, request: Request, job_id: JobId) -> Response:
    """Cancel a job; one that has ended in the meantime stays as it is."""
    if not queries.get_job(services, job_id).done:
        cancel.cancel(services, job_id, request.headers.get("user-agent", ""))
    return see(f"/jobs/{job_id}")


@router.post("/jobs/{job_id}/retry", dependencies=[needs(Scope.JOBS_WRITE)])
def retry_job(services: PageServices, job_id: JobId) -> Response:
    """Ask for the same once more; a stored result or a running job is found, not made anew."""
    submission = submit(services, again.parse(again.request_again(services, job_id)))
    return see(f"/jobs/{submission.job.id}")


def _events(services: Services, job_id: str) -> Iterator[EventView]:
    after = 0
    while after < _MOST_EVENTS:
        page = queries.list_events(services, job_id, after=after, limit=_EVENTS_AT_ONCE)
        yield from page.items
        if not page.next_page_token:
            return
        after = page.items[-1].seq


def _seconds(job: JobSummary) -> float | None:
    """Return how long the last attempt took, if it has ended."""
    if job.status not in ENDED or job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at).total_seconds()


def _compared(report: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a study, and what its reader must know."""
    from raiw.study.graphs.found import Study
    from raiw.study.graphs.report import comparison, notes  # numpy

    found = Study.of_json(report)
    columns, rows = comparison(found)
    return {"columns": columns, "rows": rows, "notes": notes(found)}


def _before_and_after(report: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return what a report has measured of the dense network and of what became of it."""
    pairs = ((name, report.get(f"dense_{name}"), after) for name, after in report.items())
    return [
        (name, before, after)
        for name, before, after in pairs
        if isinstance(before, int | float) and isinstance(after, int | float)
    ]


def _written(document: dict[str, Any]) -> str:
    return yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def _attached(text: str, name: str, media_type: str) -> Response:
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, headers=headers, media_type=media_type)
