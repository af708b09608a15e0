"""Answering those who ask whether a job has changed: one query for all who ask at that moment."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from starlette.concurrency import run_in_threadpool

from service.contract.jobs import JobVersion
from service.store import shown
from service.store.database import Database

OwnedId = tuple[str, str]
"""Owner and id of a job."""
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
        self._asked: list[tuple[OwnedId, asyncio.Future[Seen | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def look(self, owner: str, job_id: str) -> Seen | None:
        """Return what an owner's job is now; None if there is none of this id."""
        answer: asyncio.Future[Seen | None] = asyncio.get_running_loop().create_future()
        self._asked.append(((owner, job_id), answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:_MOST_IDS], self._asked[_MOST_IDS:]
            try:
                found = await run_in_threadpool(self._read, {one for one, _ in asked})
            except Exception as error:  # noqa: BLE001 -- whoever asked is told, and answers for it
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for one, answer in asked:
                    if not answer.done():
                        answer.set_result(found.get(one))
        self._reading = None

    def _read(self, asked: Collection[OwnedId]) -> dict[OwnedId, Seen]:
        by_owner = groupby(sorted(asked), key=itemgetter(0))
        with self._database.look() as session:
            return {
                (owner, job_id): seen
                for owner, group in by_owner
                for job_id, seen in shown.versions(
                    session, owner, [one[1] for one in group]
                ).items()
            }
