"""The webhooks of a server, for asyncio."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from raiw.client.awaiting import in_loop, iterate
from raiw.client.webhooks import Webhooks


class AsyncWebhooks:
    """The methods of :class:`Webhooks`, to be awaited."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def create(
        self, url: str, events: Sequence[str] | None = None, note: str = ""
    ) -> dict[str, Any]:
        """Register an address; see :meth:`Webhooks.create`."""
        return await in_loop(self._webhooks.create, url, events, note)

    async def list(self) -> "list[dict[str, Any]]":
        """Return all webhooks; see :meth:`Webhooks.list`."""
        return await in_loop(self._webhooks.list)

    async def get(self, webhook_id: str) -> dict[str, Any]:
        """Return a webhook; see :meth:`Webhooks.get`."""
        return await in_loop(self._webhooks.get, webhook_id)

    async def remove(self, webhook_id: str) -> None:
        """Remove a webhook; see :meth:`Webhooks.remove`."""
        await in_loop(self._webhooks.remove, webhook_id)

    async def enable(self, webhook_id: str) -> dict[str, Any]:
        """Send again; see :meth:`Webhooks.enable`."""
        return await in_loop(self._webhooks.enable, webhook_id)

    async def rotate(self, webhook_id: str) -> dict[str, Any]:
        """Replace the secret; see :meth:`Webhooks.rotate`."""
        return await in_loop(self._webhooks.rotate, webhook_id)

    def deliveries(
        self, webhook_id: str, status: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what was, is or will be sent; see :meth:`Webhooks.deliveries`."""
        return iterate(lambda: self._webhooks.deliveries(webhook_id, status))

    async def redeliver(self, webhook_id: str, delivery_id: str) -> dict[str, Any]:
        """Send a message again; see :meth:`Webhooks.redeliver`."""
        return await in_loop(self._webhooks.redeliver, webhook_id, delivery_id)
