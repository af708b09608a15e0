"""``/v1/webhooks``: addresses that are told of what becomes of jobs."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.access.scopes import needs
from service.api.bodies import BodyRoute
from service.api.dependencies import Id, ServicesDep, WebhookBody
from service.api.document import headers
from service.contract.access import Scope
from service.contract.webhooks import (
    DeliveryPage,
    DeliveryQuery,
    DeliveryView,
    NewWebhookView,
    WebhookPage,
    WebhookView,
)
from service.jobs import webhooks

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=BodyRoute)

_READ = [needs(Scope.WEBHOOKS_READ)]
_WRITE = [needs(Scope.WEBHOOKS_WRITE)]


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    dependencies=_WRITE,
    responses={201: {"headers": headers("Location")}},
)
def create_webhook(services: ServicesDep, response: Response, body: WebhookBody) -> NewWebhookView:
    """Register an address; the answer has the secret of its signatures, which is shown this once.

    Messages follow the Standard Webhooks specification: `webhook-id` (the same in every attempt),
    `webhook-timestamp`, `webhook-signature`, and a small body whose `data` names the job.
    """
    made = webhooks.create(services, body)
    response.headers["Location"] = f"/v1/webhooks/{made.id}"
    return made


@router.get("", dependencies=_READ)
def list_webhooks(services: ServicesDep) -> WebhookPage:
    """List all webhooks, newest first."""
    return webhooks.every(services)


@router.get("/{webhook_id}", dependencies=_READ)
def get_webhook(services: ServicesDep, webhook_id: Id) -> WebhookView:
    """Show a webhook: whether it is enabled, failing, and how much waits."""
    return webhooks.get(services, webhook_id)


@router.delete("/{webhook_id}", status_code=HTTPStatus.NO_CONTENT, dependencies=_WRITE)
def delete_webhook(services: ServicesDep, webhook_id: Id) -> None:
    """Remove a webhook with its deliveries; this can be repeated."""
    webhooks.remove(services, webhook_id)


@router.post("/{webhook_id}/enable", dependencies=_WRITE)
def enable_webhook(services: ServicesDep, webhook_id: Id) -> WebhookView:
    """Send again after it was disabled, beginning with what waits."""
    return webhooks.enable(services, webhook_id)


@router.post("/{webhook_id}/rotate", dependencies=_WRITE)
def rotate_webhook(services: ServicesDep, webhook_id: Id) -> NewWebhookView:
    """Replace the secret; for a day the earlier one signs every message too."""
    return webhooks.rotate(services, webhook_id)


@router.get("/{webhook_id}/deliveries", dependencies=_READ)
def list_deliveries(
    services: ServicesDep, webhook_id: Id, wanted: Annotated[DeliveryQuery, Query()]
) -> DeliveryPage:
    """List what was, is or will be sent to a webhook, newest first."""
    return webhooks.list_deliveries(services, webhook_id, wanted)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", dependencies=_WRITE)
def redeliver(services: ServicesDep, webhook_id: Id, delivery_id: Id) -> DeliveryView:
    """Send a message again now, under the same `webhook-id`, whatever became of it."""
    return webhooks.redeliver(services, webhook_id, delivery_id)
