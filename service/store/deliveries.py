"""Statements about deliveries: an outbox whose receivers are strangers.

A delivery is taken for a while, sent, and then recorded. Whoever sends it may be killed in between:
it is then due again, and goes out once more under the same id. What is recorded carries the number
of the attempt, so one that was thought dead changes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from service.contract.webhooks import DeliveryQuery, DeliveryStatus
from service.store.webhook_tables import WAITING, DeliveryRow, WebhookRow


def webhooks_due(
    session: Session, busy: Collection[str], most: int, now: datetime
) -> Sequence[WebhookRow]:
    """Return webhooks for which something is due, beside busy ones; who waits longest is first."""
    first = (
        select(func.min(DeliveryRow.next_attempt_at))
        .where(DeliveryRow.webhook_id == WebhookRow.id, WAITING)
        .scalar_subquery()
    )
    return session.scalars(
        select(WebhookRow)
        .where(
            WebhookRow.disabled_reason.is_(None),
            or_(WebhookRow.resume_at.is_(None), WebhookRow.resume_at <= now),
            WebhookRow.id.not_in(busy),
            first <= now,
        )
        .order_by(first)
        .limit(most)
    ).all()


def take(
    session: Session, webhook_id: str, most: int, now: datetime, hold: timedelta
) -> Sequence[DeliveryRow]:
    """Begin an attempt at what is due for a webhook, and keep others from it for ``hold``."""
    taken = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.webhook_id == webhook_id, DeliveryRow.next_attempt_at <= now)
        .order_by(DeliveryRow.next_attempt_at, DeliveryRow.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    for delivery in taken:
        delivery.attempts += 1
        delivery.next_attempt_at = now + hold
    return taken


def record(  # noqa: PLR0913 -- the outcome of an attempt
    session: Session,
    delivery_id: str,
    attempt: int,
    status: DeliveryStatus,
    now: datetime,
    *,
    next_attempt_at: datetime | None = None,
    http_status: int | None = None,
    error: str | None = None,
) -> bool:
    """Record how an attempt ended; False where the delivery is gone or in another attempt."""
    mine = update(DeliveryRow).where(
        DeliveryRow.id == delivery_id,
        DeliveryRow.attempts == attempt,
        DeliveryRow.status == DeliveryStatus.PENDING,
    )
    values = mine.values(
        status=status,
        attempted_at=now,
        next_attempt_at=next_attempt_at,
        http_status=http_status,
        error=error,
    )
    return session.scalar(values.returning(DeliveryRow.id)) is not None


def find(session: Session, webhook_id: str, delivery_id: str) -> DeliveryRow | None:
    """Return a delivery of a webhook."""
    return session.scalar(
        select(DeliveryRow).where(
            DeliveryRow.webhook_id == webhook_id, DeliveryRow.id == delivery_id
        )
    )


def page(
    session: Session,
    webhook_id: str,
    wanted: DeliveryQuery,
    before: tuple[datetime, str] | None,
    size: int,
) -> Sequence[DeliveryRow]:
    """Return up to ``size`` deliveries of a webhook, newest first, older than ``before``."""
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id)
    if wanted.status is not None:
        query = query.where(DeliveryRow.status == wanted.status)
    if wanted.created_after is not None:
        query = query.where(DeliveryRow.created_at > wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(DeliveryRow.created_at < wanted.created_before)
    if before is not None:
        query = query.where(tuple_(DeliveryRow.created_at, DeliveryRow.id) < tuple_(*before))
    newest = (DeliveryRow.created_at.desc(), DeliveryRow.id.desc())
    return session.scalars(query.order_by(*newest).limit(size)).all()


def send_again(session: Session, delivery_id: str, now: datetime) -> None:
    """Make a delivery due, whatever became of it before."""
    values: dict[str, Any] = {
        "status": DeliveryStatus.PENDING,
        "since": now,
        "next_attempt_at": now,
    }
    session.execute(update(DeliveryRow).where(DeliveryRow.id == delivery_id).values(**values))


def forget(session: Session, created_before: datetime, most: int) -> int:
    """Remove old deliveries that nobody will send any more; return how many."""
    disabled = select(WebhookRow.id).where(WebhookRow.disabled_reason.is_not(None))
    over = or_(DeliveryRow.next_attempt_at.is_(None), DeliveryRow.webhook_id.in_(disabled))
    old = select(DeliveryRow.id).where(DeliveryRow.created_at < created_before, over).limit(most)
    gone = delete(DeliveryRow).where(DeliveryRow.id.in_(old)).returning(DeliveryRow.id)
    return len(session.scalars(gone, execution_options={"synchronize_session": False}).all())
