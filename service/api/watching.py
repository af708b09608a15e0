"""Watching jobs for clients that wait: one query for all of them, however many there are."""

import asyncio
import threading
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool

from service.store import jobs
from service.store.database import Database
from service.store.jobs import Standing

News = asyncio.Future[Standing | None]
"""The state of a job once something has happened to it; None when it is gone or not watched."""

_SHORTEST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25
_MOST_IDS = 500


class Watcher:
    """A task that checks the jobs that clients wait for, and notifies each client.

    The first checks after a client starts to wait follow each other quickly, since most jobs are
    short. They use a session that is closed at once, so waiting clients hold no connection.
    """

    def __init__(self, database: Database, closing: threading.Event) -> None:
        self._database = database
        self._closing = closing
        self._waiting: dict[str, list[tuple[int, News]]] = {}
        self._somebody = asyncio.Event()
        self._pause = _SHORTEST_PAUSE_SECONDS
        self.looks = 0
        """Queries so far."""

    def watch(self, job_id: str, events: int) -> News:
        """Return a future, set when a job has more events than this; cancel it when done."""
        news: News = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append((events, news))
        self._pause = _SHORTEST_PAUSE_SECONDS
        self._somebody.set()
        return news

    async def run(self) -> None:
        """Check now and then while somebody waits, until cancelled."""
        while True:
            await self._somebody.wait()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 1.3, _LONGEST_PAUSE_SECONDS)
            self._forget_the_gone()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 -- whoever waits is told, and answers for it
                self._fail(error)
            if self._closing.is_set():
                self._tell(dict.fromkeys(self._waiting))

    async def _look(self) -> None:
        ids = list(self._waiting)
        for start in range(0, len(ids), _MOST_IDS):
            some = ids[start : start + _MOST_IDS]
            self.looks += 1
            self._tell(await run_in_threadpool(self._ask, some))

    def _ask(self, job_ids: Sequence[str]) -> dict[str, Standing | None]:
        with self._database.read() as session:
            return dict.fromkeys(job_ids) | jobs.standings(session, job_ids)

    def _tell(self, found: dict[str, Standing | None]) -> None:
        for job_id, standing in found.items():
            for events, news in self._waiting.get(job_id, ()):
                if not news.done() and (standing is None or standing.events > events):
                    news.set_result(standing)

    def _fail(self, error: Exception) -> None:
        for waiting in self._waiting.values():
            for _, news in waiting:
                if not news.done():
                    news.set_exception(error)

    def _forget_the_gone(self) -> None:
        for job_id, waiting in list(self._waiting.items()):
            if left := [(events, news) for events, news in waiting if not news.done()]:
                self._waiting[job_id] = left
            else:
                del self._waiting[job_id]
        if not self._waiting:
            self._somebody.clear()
