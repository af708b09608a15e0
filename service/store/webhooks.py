"""Statements about webhooks, and the events that are written for them.

An event is a row for each webhook that wants it, in the transaction that changes the job: either
both happen or neither, whatever is killed.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from raiw.canonical import canonical_json
from service.contract.jobs import JobStatus
from service.contract.webhooks import EVENT_OF, DeliveryStatus, EventType
from service.store.tables import JobRow
from service.store.webhook_tables import WAITING, DeliveryRow, WebhookRow


def announce(session: Session, job_id: str, status: JobStatus | None, now: datetime) -> None:
    """Write the event of a job's new state, if it has one, for every webhook that wants it.

    They are those of the job's owner.
    """
    if status is None or (event := EVENT_OF.get(status)) is None:
        return
    about = (JobRow.kind, JobRow.content_key)
    rows = session.execute(
        select(WebhookRow.id, WebhookRow.events, *about)
        .join(JobRow, JobRow.owner_id == WebhookRow.owner_id)
        .where(JobRow.id == job_id, WebhookRow.disabled_reason.is_(None))
        # One that is removed meanwhile must not take this transaction with it.
        .with_for_update(read=True, key_share=True, of=WebhookRow)
    ).all()
    for webhook_id, wanted, kind, content_key in rows:
        if event in wanted:
            data = {"id": job_id, "kind": kind, "status": status, "content_key": content_key}
            session.add(_delivery(webhook_id, event, data, now))


def _delivery(
    webhook_id: str, event: EventType, data: dict[str, Any], now: datetime
) -> DeliveryRow:
    moment = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    data["url"] = f"/v1/jobs/{data['id']}"
    return DeliveryRow(
        id=f"msg_{secrets.token_hex(12)}",
        webhook_id=webhook_id,
        job_id=data["id"],
        type=event,
        body=canonical_json({"type": event, "timestamp": moment, "data": data}),
        status=DeliveryStatus.PENDING,
        attempts=0,
        created_at=now,
        since=now,
        next_attempt_at=now,
    )


def new_id() -> str:
    """Return a fresh id of a webhook."""
    return f"webhook_{secrets.token_hex(12)}"


def find(session: Session, owner_id: str, webhook_id: str) -> WebhookRow | None:
    """Return a webhook of an owner."""
    row: WebhookRow | None = session.scalar(_own(owner_id).where(WebhookRow.id == webhook_id))
    return row


def every(session: Session, owner_id: str) -> Sequence[WebhookRow]:
    """Return all webhooks of an owner, newest first."""
    newest = (WebhookRow.created_at.desc(), WebhookRow.id.desc())
    return session.scalars(_own(owner_id).order_by(*newest)).all()


def count_pending(session: Session, webhook_ids: Sequence[str]) -> dict[str, int]:
    """Return how many deliveries of each webhook wait; those with none are left out."""
    counted = (
        select(DeliveryRow.webhook_id, func.count())
        .where(DeliveryRow.webhook_id.in_(webhook_ids), WAITING)
        .group_by(DeliveryRow.webhook_id)
    )
    return dict(session.execute(counted).all())


def remove(session: Session, owner_id: str, webhook_id: str) -> None:
    """Remove a webhook of an owner with its deliveries."""
    mine = WebhookRow.owner_id == owner_id, WebhookRow.id == webhook_id
    session.execute(delete(WebhookRow).where(*mine))


def rotate(session: Session, webhook_id: str, now: datetime) -> None:
    """Let the next secret sign."""
    _change(session, webhook_id, generation=WebhookRow.generation + 1, rotated_at=now)


def enable(session: Session, webhook_id: str, now: datetime) -> None:
    """Send again, what waits included; failures count anew."""
    _change(session, webhook_id, disabled_reason=None, failing_since=None, resume_at=None)
    waiting = update(DeliveryRow).where(
        DeliveryRow.webhook_id == webhook_id, DeliveryRow.status == DeliveryStatus.PENDING
    )
    session.execute(waiting.values(since=now, next_attempt_at=now))


def disable(session: Session, webhook_id: str, reason: str) -> bool:
    """Send nothing any more; False where that was so before."""
    enabled = WebhookRow.id == webhook_id, WebhookRow.disabled_reason.is_(None)
    values = update(WebhookRow).where(*enabled).values(disabled_reason=reason)
    return session.scalar(values.returning(WebhookRow.id)) is not None


def note_success(session: Session, webhook_id: str) -> None:
    """Note that a receiver took something."""
    failing = WebhookRow.failing_since.is_not(None)
    values = update(WebhookRow).where(WebhookRow.id == webhook_id, failing)
    session.execute(values.values(failing_since=None, resume_at=None))


def note_failure(
    session: Session, webhook_id: str, now: datetime, resume_at: datetime | None
) -> datetime | None:
    """Note that a receiver took nothing, and asks for a rest until a time; return since when."""
    values: dict[str, Any] = {"failing_since": func.coalesce(WebhookRow.failing_since, now)}
    if resume_at is not None:
        values |= {"resume_at": resume_at}
    failing = update(WebhookRow).where(WebhookRow.id == webhook_id).values(**values)
    return session.scalar(failing.returning(WebhookRow.failing_since))


def _own(owner_id: str) -> Any:
    return select(WebhookRow).where(WebhookRow.owner_id == owner_id)


def _change(session: Session, webhook_id: str, **values: Any) -> None:
    session.execute(update(WebhookRow).where(WebhookRow.id == webhook_id).values(**values))
