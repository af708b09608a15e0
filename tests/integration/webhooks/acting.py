"""What tests do with webhooks."""

from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
from sqlalchemy import select, update

from service.store.webhook_tables import DeliveryRow, WebhookRow
from tests.integration.api.servers import SPEC, Server
from tests.integration.stack import eventually
from tests.integration.webhooks.receivers import Receiver

Reply = Callable[[BaseHTTPRequestHandler], None]
SEEDS = iter(range(1, 1 << 30))


def register(http: httpx.Client, receiver: Receiver, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/webhooks", json={"url": f"{receiver.url}/hook", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{made['id']}"
    return made


def cancel_a_job(http: httpx.Client) -> dict[str, Any]:
    """The quickest way to an event."""
    spec = SPEC | {"craft": {"degree": 4, "seed": next(SEEDS)}}
    job = http.post("/v1/jobs", json={"spec": spec}).json()
    canceled: dict[str, Any] = http.post(job["urls"]["cancel"]).json()
    return canceled


def deliveries_of(http: httpx.Client, hook: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    answer = http.get(f"/v1/webhooks/{hook['id']}/deliveries", params=query)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def settled(http: httpx.Client, hook: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """Wait until the latest delivery is in one of some states."""
    return eventually(
        lambda: next(
            (one for one in deliveries_of(http, hook)[:1] if one["status"] in statuses), None
        )
    )


def answering(status: int, *headers: tuple[str, str]) -> Reply:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("content-length", "4")
        request.end_headers()
        request.wfile.write(b"no\0!")

    return answer


def hurry(server: Server, hook: dict[str, Any]) -> None:
    """Make what waits due now."""
    with server.services.database.write() as session:
        now = server.services.database.now(session)
        mine = update(DeliveryRow).where(
            DeliveryRow.webhook_id == hook["id"], DeliveryRow.next_attempt_at.is_not(None)
        )
        session.execute(mine.values(next_attempt_at=now))


def age(server: Server, hook: dict[str, Any], by: timedelta) -> None:
    """Let everything about a webhook be older."""
    with server.services.database.write() as session:
        for row in session.scalars(select(DeliveryRow).where(DeliveryRow.webhook_id == hook["id"])):
            row.since -= by
        webhook = session.get(WebhookRow, hook["id"])
        assert webhook is not None
        if webhook.failing_since:
            webhook.failing_since -= by
