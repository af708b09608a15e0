"""From rows to what clients see: the only translator."""

from typing import Any

from raiw.specs.dead import DeadUnits
from raiw.specs.plan import Plan
from service.contract.jobs import (
    ENDED,
    Canceler,
    EventView,
    FailedGate,
    FileView,
    JobResult,
    JobStatus,
    JobSummary,
    JobUrls,
    PlanView,
    Priority,
    Progress,
    main_file,
)
from service.store.shown import ShownJob
from service.store.tables import JobEventRow


def job_summary(shown: ShownJob, joined: list[dict[str, str]] | None = None) -> JobSummary:
    """Show a job, without what it was asked for, and with what those who joined it noted."""
    job = shown.job
    status = JobStatus(job.status)
    url = f"/v1/jobs/{job.id}"
    result = _result(shown)
    return JobSummary(
        id=job.id,
        kind=job.kind,
        name=job.name,
        status=status,
        done=status in ENDED,
        content_key=job.content_key,
        importance=job.importance,
        algorithm=job.algorithm,
        priority=Priority.of(job.rank),
        metadata=job.note,
        request_id=job.request_id,
        joined_metadata=joined if job.joined else [],
        joined=job.joined,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        progress=Progress(phase=job.phase, completed=job.completed, total=job.total),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        timeout_seconds=job.timeout_seconds,
        canceled_by=None if job.canceled_by is None else Canceler(**job.canceled_by),
        error=job.error,
        result=result,
        urls=JobUrls(
            self=url,
            events=f"{url}/events",
            cancel=f"{url}/cancel",
            result=result and f"/v1/{'blobs' if result.files else 'masks'}/{result.digest}",
        ),
    )


def _result(shown: ShownJob) -> JobResult | None:
    digest = shown.job.mask_digest
    if digest is not None and shown.file_sha256 is not None and shown.bytes is not None:
        return JobResult(
            digest=digest,
            file_sha256=shown.file_sha256,
            bytes=shown.bytes,
            dead_units=_dead_units(shown.dead_units),
            failed_gates=_failed_gates(shown.job.failed_gates),
        )
    if shown.outcome is None:
        return None
    main = main_file(shown.outcome)
    return JobResult(
        digest=main["digest"],
        file_sha256=main["digest"],
        bytes=main["bytes"],
        files=[FileView.model_validate(file) for file in shown.outcome["files"]],
        report=shown.outcome["report"],
    )


def _dead_units(stored: list[dict[str, Any]] | None) -> list[DeadUnits] | None:
    return None if stored is None else [DeadUnits.model_validate(units) for units in stored]


def _failed_gates(failed: list[dict[str, Any]] | None) -> list[FailedGate] | None:
    return None if failed is None else [FailedGate.model_validate(gate) for gate in failed]


def event_view(event: JobEventRow) -> EventView:
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
