"""Large jobs: their layers are crafted in units, by every worker that is free.

The worker that runs the job invites others, crafts units until none is left, waits for those that
others hold, and puts the masks together. A unit is claimed for the time of a lease and kept as a
mask file of its layers, named by what it holds: a killed worker costs its unit and no more, and
the next attempt, or another job for the same layers, reuses what was finished.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from raiw.algorithms import ALGORITHMS
from raiw.canonical import digest_of_json
from raiw.errors import InvalidInput, NotFound, RaiwError
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.pipeline import mask_key
from raiw.scores.importance import Importance, open_importance
from raiw.specs.plan import Plan
from raiw.specs.planned import PlannedLayer
from service.contract.access import own_key
from service.contract.errors import Damaged
from service.jobs.services import Services
from service.jobs.uploads import verified_upload
from service.store import jobs, objects, outbox, units
from service.store.tables import JobRow
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Stopped
from worker.supervising import Done, OnEvent, Order, supervise

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.25
"""Pause before looking again for units that other workers hold."""
_MOST_INVITED = 64
_MOST_ROUNDS = 3
"""How often units whose files are lost are crafted again."""

Unit = tuple[PlannedLayer, ...]
"""The layers that one worker crafts."""


@dataclass(frozen=True)
class SharedJob:
    """A job whose units several workers craft, as one of these workers sees it."""

    process: PoolProcess
    job_id: str
    timeout_seconds: float
    document: CraftJob
    importance: Importance | None

    @classmethod
    def of(cls, process: PoolProcess, job: JobRow, document: JobDocument) -> "SharedJob":
        """Open the scores of a craft job.

        Raises
        ------
        InvalidInput
            It is a job of another kind.
        """
        if not isinstance(document, CraftJob):
            raise InvalidInput(f"a {job.kind} job crafts no masks, so it cannot be shared")
        spec, importance = document.spec, None
        if document.importance is not None:
            path = verified_upload(process.services, document.importance)
            importance = open_importance(path, spec, digest=document.importance)
        return cls(process, job.id, job.timeout_seconds, document, importance)

    @property
    def services(self) -> Services:
        """Database, artifacts and settings."""
        return self.process.services

    @property
    def plan(self) -> Plan:
        """All layers, with what is to be crafted of each."""
        return self.document.spec.plan(scored=self.importance is not None)

    @property
    def is_large(self) -> bool:
        """Whether it has several units; a job of one needs neither keys nor helpers."""
        return len(self._shares) > 1

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The layers by the key of their unit."""
        return {self._key(share): tuple(share) for share in self._shares}

    @cached_property
    def _shares(self) -> list[list[PlannedLayer]]:
        """The layers in order, in units of at most so many cells or of one layer.

        All of them are one where their graphs are built together.
        """
        if ALGORITHMS[self.plan.algorithm].whole:
            return [[*self.plan.layers]]
        most = self.services.settings.unit_cells
        shares: list[list[PlannedLayer]] = []
        cells = most
        for planned in self.plan.layers:
            if cells + planned.cells > most:
                shares.append([])
                cells = 0
            shares[-1].append(planned)
            cells += planned.cells
        return shares

    def order(self, task: str, **share: Any) -> Order:
        """Return what a process needs to craft from this spec and these scores."""
        units = {file: self.services.artifacts.verified(file) for file in share.get("units", ())}
        uploads = self.document.uploads.values()
        files = units | {upload: verified_upload(self.services, upload) for upload in uploads}
        paths = {file: str(path) for file, path in files.items()}
        threads = {"OMP_NUM_THREADS": str(self.services.settings.threads)}
        return Order(task, paths, job=self.document, share=share, environment=threads)

    def craft(self, check: Callable[[], None], on_event: OnEvent) -> Done:
        """Craft all units with the help of other workers, and put their masks together.

        ``check`` raises when the work must stop.
        """
        self._invite()
        known: set[str] = set()
        rounds = 0
        while True:
            check()
            done = self._finished()
            if fresh := [key for key in self.units if key in done and key not in known]:
                known.update(fresh)
                self._tell(on_event, known, fresh)
            if len(done) == len(self.units):
                if not (lost := self._lost(done)):
                    return self._join(done, check)
                rounds += 1
                self._reopen(lost, rounds)
            elif not self._craft_next(done, check, helps=None):
                time.sleep(_WAIT_SECONDS)

    def assist(self) -> None:
        """Craft units until none is free."""
        try:
            while self._craft_next(self._finished(), lambda: None, helps=self.services.owner):
                pass
        except Stopped as stopped:
            logger.info("no more help for job %s: %s", self.job_id, stopped)
        except RaiwError:
            # The worker that runs the job meets the same fault and reports it.
            logger.warning("a unit of job %s failed here", self.job_id, exc_info=True)

    def _key(self, unit: list[PlannedLayer]) -> str:
        """Name a unit by what decides its bits, whichever job asks for it."""
        plan, craft, importance = self.plan, self.document.spec.craft, self.importance
        key = digest_of_json([mask_key(one, plan.algorithm, craft, importance) for one in unit])
        # A unit that is finished at once would tell that another owner has it.
        return key if self.services.settings.shares else own_key(self.services.owner, key)

    def _invite(self) -> None:
        """Ask other workers for help, one for each further unit; keep what is finished."""
        keys = list(self.units)
        with self.services.database.write() as session:
            now = self.services.database.now(session)
            units.touch(session, keys, now)
            missing = len(keys) - len(units.finished(session, keys))
            invited = min(missing - 1, _MOST_INVITED)
            outbox.invite(session, self.job_id, invited, now)

    def _finished(self) -> dict[str, str]:
        with self.services.database.read() as session:
            return units.finished(session, list(self.units))

    def _craft_next(
        self, done: dict[str, str], check: Callable[[], None], *, helps: str | None
    ) -> bool:
        """Claim and craft the next unit that is free; False when there is none."""
        lease = timedelta(seconds=self.services.settings.lease_seconds)
        for key in self.units.keys() - done.keys():
            with self.services.database.write() as session:
                now = self.services.database.now(session)
                attempt = units.claim(session, key, lease, now, helps)
            if attempt is not None:
                self._craft_claimed(key, attempt, check)
                return True
        return False

    def _craft_claimed(self, key: str, attempt: int, check: Callable[[], None]) -> None:
        def renew(session: Session, extension: timedelta, now: datetime) -> str | None:
            held = units.renew(session, key, attempt, extension, now)
            job = jobs.find(session, self.job_id) if held else None
            return job.status if job else None

        database = self.services.database
        try:
            with Lease(self.process, renew, self.timeout_seconds) as lease:

                def check_both() -> None:
                    check()
                    lease.check()

                positions = [planned.position for planned in self.units[key]]
                order = self.order("unit", positions=positions)
                done = supervise(self.process, order, check_both, _hear_nothing)
            artifacts, file = self.services.artifacts, done.content
            artifact = artifacts.put(file)
            with database.write() as session:
                objects.vouch(session, artifacts, artifact, lambda: artifacts.put(file))
                units.finish(session, key, artifact, database.now(session))
            logger.info("unit %s of job %s crafted by worker %d", key, self.job_id, os.getpid())
        except BaseException:
            with database.write() as session:
                units.release(session, key, attempt, database.now(session))
            raise

    def _lost(self, done: dict[str, str]) -> dict[str, str]:
        """Return the units whose file is missing or damaged."""
        return {key: file for key, file in done.items() if not self._is_at_hand(file)}

    def _is_at_hand(self, file: str) -> bool:
        try:
            self.services.artifacts.verified(file)
        except NotFound:
            return False
        return True

    def _reopen(self, lost: dict[str, str], rounds: int) -> None:
        """Have units crafted again.

        Raises
        ------
        Damaged
            That has been tried often enough.
        """
        if rounds > _MOST_ROUNDS:
            raise Damaged(
                f"{len(lost)} units were lost {_MOST_ROUNDS} times after they were crafted: the "
                f"artifact folder does not keep what is written to it; the operator must check it"
            )
        logger.error("%d lost units of job %s will be crafted again", len(lost), self.job_id)
        with self.services.database.write() as session:
            now = self.services.database.now(session)
            for key, file in lost.items():
                units.reopen(session, key, file, now)

    def _join(self, done: dict[str, str], check: Callable[[], None]) -> Done:
        files = [done[key] for key in self.units]
        order = self.order("join", units=files)
        return supervise(self.process, order, check, _hear_nothing)

    def _tell(self, on_event: OnEvent, known: set[str], fresh: list[str]) -> None:
        """Tell how many layers are finished, and which of them are new."""
        layers = [
            {"name": layer.name, "shape": list(layer.shape), "edges": layer.edges}
            for key in fresh
            for layer in self.units[key]
        ]
        progress = {
            "phase": "crafting",
            "completed": sum(len(self.units[key]) for key in known),
            "total": len(self.plan.layers),
            "layers": layers,
        }
        on_event("progress", progress)


def _hear_nothing(_event: str, _data: dict[str, Any]) -> None:
    """Ignore progress inside a unit: it is finished or not."""
