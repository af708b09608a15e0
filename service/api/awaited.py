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

from starlette.concurrency import run_in_threadpool

from service.jobs.services import Services
from service.settings import Settings
from service.store.database import Database
from service.store.engines import run_awaited

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


class AwaitedDatabase:
    """The connections of one application that are awaited."""

    def __init__(self, settings: Settings, *, is_sqlite: bool) -> None:
        self.database = None if is_sqlite else Database(settings, awaited=True)
        """None where nothing can be awaited."""

    async def run(
        self,
        use: Callable[Concatenate[Services, _Arguments], _Answer],
        services: Services,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Answer:
        """Run a use case that computes for a few milliseconds at most, and asks nobody else.

        It raises what the use case does.
        """
        if self.database is None:
            return await run_in_threadpool(use, services, *args, **kwargs)
        awaited = replace(services, database=self.database)
        return await run_awaited(partial(use, awaited, *args, **kwargs))

    async def close(self) -> None:
        """Close every connection."""
        if self.database is not None:
            await run_awaited(self.database.close)
