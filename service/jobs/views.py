"""From rows to what clients see: the only translator."""

from raiw.specs.plan import Plan
from service.contract.jobs import (
    ENDED,
    EventView,
    FileView,
    JobResult,
    JobStatus,
    JobUrls,
    JobView,
    PlanView,
    Progress,
    main_file,
)
from service.store.tables import Job, JobEvent, Masks


def job_view(job: Job, masks: Masks | None) -> JobView:
    """Show a job; ``masks`` is what its digest names."""
    status = JobStatus(job.status)
    url = f"/v1/jobs/{job.id}"
    return JobView(
        id=job.id,
        kind=job.kind,
        status=status,
        done=status in ENDED,
        content_key=job.content_key,
        spec=job.spec if job.task is None else None,
        importance=job.importance,
        task=job.task,
        algorithm=job.algorithm,
        metadata=job.note,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        progress=Progress(phase=job.phase, completed=job.completed, total=job.total),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        timeout_seconds=job.timeout_seconds,
        error=job.error,
        result=_result(job, masks),
        urls=JobUrls(
            self=url,
            events=f"{url}/events",
            cancel=f"{url}/cancel",
            result=_result_url(job, masks),
        ),
    )


def _result(job: Job, masks: Masks | None) -> JobResult | None:
    if masks is not None:
        return JobResult(digest=masks.digest, file_sha256=masks.file_sha256, bytes=masks.size)
    if job.outcome is None:
        return None
    main = main_file(job.outcome)
    return JobResult(
        digest=main["digest"],
        file_sha256=main["digest"],
        bytes=main["bytes"],
        files=[FileView.model_validate(file) for file in job.outcome["files"]],
        report=job.outcome["report"],
    )


def _result_url(job: Job, masks: Masks | None) -> str | None:
    if masks is not None:
        return f"/v1/masks/{masks.digest}"
    return f"/v1/blobs/{main_file(job.outcome)['digest']}" if job.outcome else None


def event_view(event: JobEvent) -> EventView:
    """Show an event."""
    return EventView.model_validate(
        {
            "seq": event.seq,
            "event": event.event,
            "created_at": event.created_at,
            "data": event.data,
        }
    )


def plan_view(plan: Plan, content_key: str, *, stored: bool) -> PlanView:
    """Show a plan."""
    return PlanView.model_validate({**plan.to_json(), "content_key": content_key, "stored": stored})
