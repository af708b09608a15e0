"""The webhooks of a server: addresses that it notifies when jobs change."""

from collections.abc import Iterator, Sequence
from typing import Any

from raiw.client.transport import Transport, segment

_URL = "/v1/webhooks"


class Webhooks:
    """``raiw.Client.webhooks``: everything is a dictionary, as ``/v1/webhooks`` has it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, url: str, events: Sequence[str] | None = None, note: str = ""
    ) -> dict[str, Any]:
        """Register an address; the answer's ``secret`` is shown this once.

        ``events`` are such as ``job.succeeded``; by default every way in which a job ends.
        """
        body = {"url": url, "note": note} | ({"events": list(events)} if events else {})
        made, _ = self._transport.json("POST", _URL, json=body, attempts=1)
        return made

    def list(self) -> "list[dict[str, Any]]":
        """Return all webhooks, newest first."""
        page, _ = self._transport.json("GET", _URL)
        items: list[dict[str, Any]] = page["items"]
        return items

    def get(self, webhook_id: str) -> dict[str, Any]:
        """Return a webhook, with how much waits and since when it fails."""
        return self._answer("GET", webhook_id)

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook with its deliveries."""
        self._transport.send("DELETE", f"{_URL}/{segment(webhook_id)}")

    def enable(self, webhook_id: str) -> dict[str, Any]:
        """Send again after it was disabled, beginning with what waits."""
        return self._answer("POST", webhook_id, "/enable")

    def rotate(self, webhook_id: str) -> dict[str, Any]:
        """Replace the secret; for a day the earlier one signs too."""
        return self._answer("POST", webhook_id, "/rotate", attempts=1)

    def deliveries(self, webhook_id: str, status: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what was, is or will be sent, newest first."""
        url = f"{_URL}/{segment(webhook_id)}/deliveries"
        return self._transport.items(url, {"status": status})

    def redeliver(self, webhook_id: str, delivery_id: str) -> dict[str, Any]:
        """Send a message again now, under the same ``webhook-id``."""
        return self._answer("POST", webhook_id, f"/deliveries/{segment(delivery_id)}/redeliver")

    def _answer(
        self, method: str, webhook_id: str, path: str = "", **request: Any
    ) -> dict[str, Any]:
        url = f"{_URL}/{segment(webhook_id)}{path}"
        answer, _ = self._transport.json(method, url, **request)
        return answer
