"""The client of a raiw server: :class:`Client`, its :class:`Job`, and both for asyncio."""

from typing import TYPE_CHECKING, Any

from raiw.client.client import Client
from raiw.client.job import Event, Job, JobProgress

if TYPE_CHECKING:
    from raiw.client.async_client import AsyncClient, AsyncJob

__all__ = ["AsyncClient", "AsyncJob", "Client", "Event", "Job", "JobProgress"]


def __getattr__(name: str) -> Any:
    """Load what is for asyncio when it is first asked for."""
    if name not in ("AsyncClient", "AsyncJob"):
        raise AttributeError(f"module 'raiw.client' has no attribute {name!r}")
    from raiw.client import async_client

    return getattr(async_client, name)
