"""Registering webhooks, and looking at what became of their messages."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from raiw.errors import InvalidInput, NotFound
from service.contract.errors import Disabled
from service.contract.webhooks import (
    MAX_WEBHOOKS,
    DeliveryPage,
    DeliveryQuery,
    DeliveryStatus,
    DeliveryView,
    EventType,
    NewWebhookView,
    WebhookPage,
    WebhookRequest,
    WebhookView,
)
from service.jobs.delivering.addresses import check_url
from service.jobs.delivering.signing import written
from service.jobs.queries import page_of, page_start, token_of
from service.jobs.sealing import Seal
from service.jobs.services import Services
from service.store import deliveries, webhooks
from service.store.webhook_tables import DeliveryRow, WebhookRow


def create(services: Services, request: WebhookRequest) -> NewWebhookView:
    """Register an address.

    Raises
    ------
    InvalidInput
        Its URL cannot be used, or the owner has too many.
    ForbiddenAddress
        It names an address that is not public.
    """
    url = check_url(request.url, services.settings.receivers)
    with services.database.write() as session:
        if len(webhooks.every(session, services.owner)) >= MAX_WEBHOOKS:
            raise InvalidInput(f"an owner has {MAX_WEBHOOKS} webhooks at most: remove one first")
        row = WebhookRow(
            id=webhooks.new_id(),
            owner_id=services.owner,
            url=url,
            events=[*dict.fromkeys(request.events)],
            note=request.note,
            generation=1,
            created_at=services.database.now(session),
        )
        session.add(row)
        session.flush()
        return _with_secret(services, row, 0)


def every(services: Services) -> WebhookPage:
    """Return all webhooks of the owner, newest first."""
    with services.database.read() as session:
        rows = webhooks.every(session, services.owner)
        pending = webhooks.count_pending(session, [row.id for row in rows])
    return WebhookPage(items=[_view(row, pending.get(row.id, 0)) for row in rows])


def get(services: Services, webhook_id: str) -> WebhookView:
    """Return a webhook.

    Raises
    ------
    NotFound
        The owner has none of this id.
    """
    with services.database.read() as session:
        return _view(_own(services, session, webhook_id), _pending(session, webhook_id))


def remove(services: Services, webhook_id: str) -> None:
    """Remove a webhook and what waits for it; one that is not there is removed already."""
    with services.database.write() as session:
        webhooks.remove(session, services.owner, webhook_id)


def enable(services: Services, webhook_id: str) -> WebhookView:
    """Send again what waits, and what comes; raises what :func:`get` does."""
    return _view(*_changed(services, webhook_id, webhooks.enable))


def rotate(services: Services, webhook_id: str) -> NewWebhookView:
    """Replace the secret; raises what :func:`get` does."""
    return _with_secret(services, *_changed(services, webhook_id, webhooks.rotate))


def list_deliveries(services: Services, webhook_id: str, wanted: DeliveryQuery) -> DeliveryPage:
    """Return a page of deliveries, newest first; raises what :func:`get` does."""
    before = page_start(wanted)
    with services.database.read() as session:
        _own(services, session, webhook_id)
        rows = deliveries.page(session, webhook_id, wanted, before, wanted.most + 1)
    items, more = page_of(map(_delivery_view, rows), wanted.most)
    token = token_of(items[-1].created_at, items[-1].id, wanted) if more else ""
    return DeliveryPage(items=items, next_page_token=token)


def redeliver(services: Services, webhook_id: str, delivery_id: str) -> DeliveryView:
    """Send a message again, whatever became of it, under the id it has.

    Raises
    ------
    NotFound
        The owner has no such webhook, or it has no such delivery.
    Disabled
        Nothing is sent to the webhook.
    """
    with services.database.write() as session:
        row = _own(services, session, webhook_id)
        if row.disabled_reason is not None:
            raise Disabled(
                f"webhook {webhook_id} is disabled, because {row.disabled_reason}: "
                f"POST /v1/webhooks/{webhook_id}/enable first"
            )
        delivery = deliveries.find(session, webhook_id, delivery_id)
        if delivery is None:
            raise NotFound(f"webhook {webhook_id} has no delivery {delivery_id!r}")
        deliveries.send_again(session, delivery_id, services.database.now(session))
        session.refresh(delivery)
        view = _delivery_view(delivery)
    services.deliver()
    return view


def _changed(
    services: Services, webhook_id: str, change: Callable[[Session, str, datetime], None]
) -> tuple[WebhookRow, int]:
    with services.database.write() as session:
        row = _own(services, session, webhook_id)
        change(session, webhook_id, services.database.now(session))
        session.refresh(row)
        return row, _pending(session, webhook_id)


def _own(services: Services, session: Session, webhook_id: str) -> WebhookRow:
    row = webhooks.find(session, services.owner, webhook_id)
    if row is None:
        raise NotFound(f"no webhook {webhook_id!r}")
    return row


def _pending(session: Session, webhook_id: str) -> int:
    return webhooks.count_pending(session, [webhook_id]).get(webhook_id, 0)


def _view(row: WebhookRow, pending: int) -> WebhookView:
    return WebhookView(
        id=row.id,
        url=row.url,
        events=[EventType(name) for name in row.events],
        note=row.note,
        enabled=row.disabled_reason is None,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        pending=pending,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
    )


def _with_secret(services: Services, row: WebhookRow, pending: int) -> NewWebhookView:
    secret = Seal(services.settings).secret_of(row.id, row.generation)
    return NewWebhookView(**_view(row, pending).model_dump(), secret=written(secret))


def _delivery_view(row: DeliveryRow) -> DeliveryView:
    return DeliveryView(
        id=row.id,
        type=EventType(row.type),
        job_id=row.job_id,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        created_at=row.created_at,
        attempted_at=row.attempted_at,
        next_attempt_at=row.next_attempt_at,
        http_status=row.http_status,
        error=row.error,
    )
