"""Webhooks as a client sees them: what is sent follows the Standard Webhooks specification."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from raiw.specs.document import Document
from service.contract.jobs import JobStatus, View
from service.contract.queries import ListQuery


class EventType(StrEnum):
    """What a webhook can be told of."""

    STARTED = "job.started"
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELED = "job.canceled"
    EXPIRED = "job.expired"


EVENT_OF = {
    JobStatus.RUNNING: EventType.STARTED,
    JobStatus.SUCCEEDED: EventType.SUCCEEDED,
    JobStatus.FAILED: EventType.FAILED,
    JobStatus.CANCELED: EventType.CANCELED,
    JobStatus.EXPIRED: EventType.EXPIRED,
}
"""The event of each state that a job reaches and others are told of."""
ENDS: list[EventType] = [kind for kind in EventType if kind is not EventType.STARTED]

MAX_URL = 2000
MAX_WEBHOOKS = 100
"""Most webhooks of one owner."""


class DeliveryStatus(StrEnum):
    """The states of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookRequest(Document):
    """An address to be told of what becomes of jobs."""

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL, pattern=r"^[^\x00-\x20]*$")]
    """Where to send: ``https``, on a public address."""
    events: Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))] = ENDS
    """What to be told of; by default every way in which a job ends."""
    note: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    """What it is for."""


class WebhookView(View):
    """A registered address."""

    id: str
    url: str
    events: list[EventType]
    note: str
    enabled: bool
    disabled_reason: str | None
    """Why nothing is sent any more, until it is enabled again."""
    failing_since: datetime | None
    """First failure since the last success."""
    pending: int
    """Deliveries that wait, or wait to be tried again."""
    created_at: datetime
    rotated_at: datetime | None
    """When its secret was replaced; for a day the earlier one signs too."""


class NewWebhookView(WebhookView):
    """A registered address with its secret, which is shown this once."""

    secret: str
    """``whsec_`` and the key in base64, as the libraries of Standard Webhooks take it."""


class WebhookPage(View):
    """All webhooks, newest first."""

    items: list[WebhookView]


class DeliveryView(View):
    """One event on its way to an address, or arrived."""

    id: str
    """The ``webhook-id``: the same in every attempt."""
    type: EventType
    job_id: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    attempted_at: datetime | None
    """When the last attempt ended."""
    next_attempt_at: datetime | None
    """Null once it was delivered or given up."""
    http_status: int | None
    """What the receiver answered last; null where it gave no answer."""
    error: str | None
    """Why the last attempt failed, with the beginning of the answer."""


class DeliveryPage(View):
    """A page of deliveries, newest first."""

    items: list[DeliveryView]
    next_page_token: str


class DeliveryQuery(ListQuery):
    """Which deliveries to list."""

    status: DeliveryStatus | None = None
