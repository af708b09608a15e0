"""How many requests a key may send: one limit for reading, one for everything else.

Requests are counted by key, or by owner where the one token of all is used; whoever needs no key is
not counted. Where Redis counts for all servers and does not answer, requests pass.
"""

import logging
import math
import time
from typing import Any

import limits
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from service.contract.access import Caller, Scope, Unscoped
from service.contract.errors import TooManyRequests
from service.settings import Settings

logger = logging.getLogger(__name__)

_READING = ":read"
"""How the scopes of routes that change nothing end."""


class Rates:
    """The counters of one application."""

    def __init__(self, settings: Settings) -> None:
        self._keyless = settings.keyless
        self._limits = {
            name: limits.parse(rate)
            for name, rate in (("reads", settings.rate_reads), ("writes", settings.rate_writes))
            if rate
        }
        url = settings.rate_url
        self._pool = _pool(url) if url else None
        storage = _redis(url, self._pool) if self._pool else MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._answers = True

    async def charge(self, caller: Caller, needed: Scope | Unscoped) -> dict[str, str]:
        """Count a request; return the headers that tell what is left.

        Raises
        ------
        TooManyRequests
            It is one too many.
        """
        reading = isinstance(needed, Unscoped) or needed.endswith(_READING)
        name = "reads" if reading else "writes"
        limit = self._limits.get(name)
        if limit is None or (caller.key_id is None and self._keyless):
            return {}
        who = caller.key_id or caller.owner_id
        try:
            allowed = await self._limiter.hit(limit, name, who)
            reset, left = await self._limiter.get_window_stats(limit, name, who)
        except StorageError as error:
            self._say(f"RAIW_RATE_URL does not answer, so requests are not counted: {error}")
            return {}
        self._say("")
        seconds = max(1, math.ceil(reset - time.time()))
        if not allowed:
            raise TooManyRequests(
                f"more than {limit} ({name}): go on in {seconds} seconds, send fewer, or ask the "
                f"operator for more (RAIW_RATE_{name.upper()})",
                limit=str(limit),
                retry_after=seconds,
            )
        return {
            "RateLimit-Policy": f'"{name}";q={limit.amount};w={limit.get_expiry()}',
            "RateLimit": f'"{name}";r={left};t={seconds}',
        }

    async def close(self) -> None:
        """Close the connections."""
        if self._pool:
            await self._pool.disconnect()

    def _say(self, trouble: str) -> None:
        """Log when the counting stops, and when it goes on."""
        if self._answers and trouble:
            logger.warning("%s", trouble)
        elif not self._answers and not trouble:
            logger.info("requests are counted again")
        self._answers = not trouble


def _pool(url: str) -> ConnectionPool:
    return ConnectionPool.from_url(url, socket_timeout=1, socket_connect_timeout=1)


def _redis(url: str, pool: ConnectionPool) -> RedisStorage:
    options: dict[str, Any] = {"connection_pool": pool}
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="raiw:rates",
        **options,
    )
