"""Answering those who ask whether a job has changed: one query for all who ask at that moment."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from service.contract.jobs import JobVersion
from service.store import shown
from service.store.database import Database

Seen = tuple[JobVersion, datetime]
"""A job's version, and when the job was created."""

_MOST_IDS = 500


class Polls:
    """Reads the versions of jobs.

    Who asks while a query runs is answered by the next one, so that every answer is read after its
    question came, and a thousand clients cost the database little more than one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: list[tuple[str, asyncio.Future[Seen | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def look(self, job_id: str) -> Seen | None:
        """Return what a job is now; None if there is none of this id."""
        answer: asyncio.Future[Seen | None] = asyncio.get_running_loop().create_future()
        self._asked.append((job_id, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:_MOST_IDS], self._asked[_MOST_IDS:]
            ids = list(dict.fromkeys(job_id for job_id, _ in asked))
            try:
                found = await run_in_threadpool(self._read, ids)
            except Exception as error:  # noqa: BLE001 -- whoever asked is told, and answers for it
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for job_id, answer in asked:
                    if not answer.done():
                        answer.set_result(found.get(job_id))
        self._reading = None

    def _read(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        with self._database.look() as session:
            return shown.versions(session, job_ids)
