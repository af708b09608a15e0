"""Use cases that do nothing but ask the database, and take little else, without a thread.

Python runs one thread at a time. Where a request is short, threads that take turns at every answer
of the database cost as much as the request itself, so with PostgreSQL its statements are awaited by
the event loop. SQLite, which answers in microseconds and writes to the disk meanwhile, has no
driver that can be awaited: there a thread runs the same use case.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.util import greenlet_spawn
from starlette.concurrency import run_in_threadpool

from service.jobs.services import Services
from service.settings import Settings
from service.store.database import Database

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Asking:
    """The connections of one application that are awaited."""

    def __init__(self, settings: Settings, *, is_sqlite: bool) -> None:
        self.awaits = not is_sqlite
        self._database = Database(settings, awaited=True) if self.awaits else None

    async def run(
        self,
        use: Callable[Concatenate[Services, Arguments], Answer],
        services: Services,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Run a use case that computes for a few milliseconds at most, and asks nobody else.

        It raises what the use case does.
        """
        if self._database is None:
            return await run_in_threadpool(use, services, *args, **kwargs)
        awaited = replace(services, database=self._database)
        return await greenlet_spawn(partial(use, awaited, *args, **kwargs))

    async def close(self) -> None:
        """Close every connection."""
        if self._database is not None:
            await greenlet_spawn(self._database.close)
