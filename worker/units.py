"""Large jobs: their layers are crafted in units, by every worker that is free.

The worker that runs the job invites others, crafts units until none is left, waits for those that
others hold, and puts the masks together. A unit is claimed for the time of a lease and kept as a
mask file of its layers, named by what it holds: a killed worker costs its unit and no more, and
what was finished is taken up by the next attempt, or by another job for the same layers.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy.orm import Session

from raiw.algorithms import ALGORITHMS, BOUNDS_REVISION
from raiw.canonical import digest_of_json
from raiw.errors import RaiwError
from raiw.masks import MaskSet, load
from raiw.pipeline import craft_mask, origin_of
from raiw.scores.importance import Importance, open_importance
from raiw.specs.plan import Plan, PlannedLayer
from raiw.specs.spec import Spec
from service.contract.errors import Damaged
from service.contract.tasks import Task
from service.jobs.services import Services
from service.jobs.uploads import verified_upload
from service.store import jobs, objects, outbox, requests, units
from service.store.artifacts import State
from service.store.tables import Job
from worker.lease import Lease, Stopped

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.25
"""Pause before looking again for units that other workers hold."""
_MOST_INVITED = 64
_MOST_ROUNDS = 3
"""How often units are crafted anew whose files are lost."""

Unit = tuple[PlannedLayer, ...]
"""The layers that one worker crafts."""
OnProgress = Callable[[int, list[PlannedLayer]], None]
"""Told how many layers are finished, and which of them are new."""


@dataclass(frozen=True)
class SharedJob:
    """A job whose units several workers craft, as one of these workers sees it."""

    services: Services
    job_id: str
    queue: str
    timeout_seconds: float
    spec: Spec
    plan: Plan
    importance: Importance | None
    stopping: Callable[[], bool]
    """Whether this worker has been asked to end."""

    @classmethod
    def of(cls, services: Services, job: Job, stopping: Callable[[], bool]) -> "SharedJob":
        """Read the job's spec and open its scores."""
        spec, importance = Spec.parse(requests.read(services.database, job.id)), None
        if job.importance is not None:
            path = verified_upload(services, job.importance)
            importance = open_importance(path, spec, digest=job.importance)
        plan = spec.plan(scored=importance is not None)
        timeout = job.timeout_seconds
        return cls(services, job.id, job.queue, timeout, spec, plan, importance, stopping)

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The layers by the key of their unit, each of so many cells or of one layer."""
        most = self.services.settings.unit_cells
        shares: list[list[PlannedLayer]] = []
        cells = most
        for planned in self.plan.layers:
            if cells + planned.cells > most:
                shares.append([])
                cells = 0
            shares[-1].append(planned)
            cells += planned.cells
        return {self._key(share): tuple(share) for share in shares}

    def craft(self, check: Callable[[], None], on_progress: OnProgress) -> MaskSet:
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
                layers = [layer for key in fresh for layer in self.units[key]]
                on_progress(sum(len(self.units[key]) for key in known), layers)
            if len(done) == len(self.units):
                if not (lost := self._lost(done)):
                    return self._join(done)
                rounds += 1
                self._reopen(lost, rounds)
            elif not self._craft_next(done, check):
                time.sleep(_WAIT_SECONDS)

    def assist(self) -> None:
        """Craft units until none is free."""
        try:
            while not self.stopping() and self._craft_next(self._finished(), lambda: None):
                pass
        except Stopped as stopped:
            logger.info("no more help for job %s: %s", self.job_id, stopped.message)
        except (RaiwError, MemoryError):
            # The worker that runs the job meets the same fault and reports it.
            logger.warning("a unit of job %s failed here", self.job_id, exc_info=True)

    def _key(self, unit: list[PlannedLayer]) -> str:
        """Name a unit by what it holds, whatever job asks for it."""
        algorithm = ALGORITHMS[self.plan.algorithm]
        options = {name: [getattr(y, name) for y in unit] for name in algorithm.options}
        layers = [[y.layer.model_dump(mode="json"), y.edges, y.group_outputs] for y in unit]
        return digest_of_json(
            {
                "layers": layers,
                "algorithm": [algorithm.name, algorithm.revision],
                "options": options,
                "seed": self.spec.craft.seed,
                "certificate": [self.spec.craft.certificate(algorithm.name), BOUNDS_REVISION],
                "importance": self.importance and self.importance.digest,
                "reading": self.spec.importance and self.spec.importance.model_dump(mode="json"),
            }
        )

    def _invite(self) -> None:
        """Ask other workers for help, one for each further unit; keep what is finished."""
        keys = list(self.units)
        with self.services.database.write() as session:
            now = self.services.database.now(session)
            units.touch(session, keys, now)
            missing = len(keys) - len(units.finished(session, keys))
            invited = [self.job_id] * min(missing - 1, _MOST_INVITED)
            outbox.add(session, Task.ASSIST_JOB, self.queue, invited, now)

    def _finished(self) -> dict[str, str]:
        with self.services.database.read() as session:
            return units.finished(session, list(self.units))

    def _craft_next(self, done: dict[str, str], check: Callable[[], None]) -> bool:
        """Claim and craft the next unit that is free; False when there is none."""
        lease = timedelta(seconds=self.services.settings.lease_seconds)
        for key in self.units.keys() - done.keys():
            with self.services.database.write() as session:
                now = self.services.database.now(session)
                attempt = units.claim(session, key, lease, now)
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
            with Lease(self.services, renew, self.timeout_seconds, self.stopping) as lease:

                def check_both() -> None:
                    check()
                    lease.check()

                file = self._craft_layers(self.units[key], check_both)
            artifact = self.services.artifacts.put(file)
            with database.write() as session:
                artifacts = self.services.artifacts
                objects.vouch(session, artifacts, artifact, lambda: artifacts.put(file))
                units.finish(session, key, artifact, database.now(session))
            logger.info("unit %s of job %s crafted by worker %d", key, self.job_id, os.getpid())
        except BaseException:
            with database.write() as session:
                units.release(session, key, attempt, database.now(session))
            raise

    def _craft_layers(self, unit: Unit, check: Callable[[], None]) -> bytes:
        """Return the mask file of some layers; ``check`` is called before each."""
        masks = []
        for planned in unit:
            check()
            masks.append(craft_mask(planned, self.plan.algorithm, self.spec.craft, self.importance))
        origin = origin_of(self.spec, self.importance)
        own = {"layers": [mask.layer.model_dump(mode="json") for mask in masks]}
        return MaskSet(masks, origin.model_copy(update={"spec": origin.spec | own})).to_bytes()

    def _lost(self, done: dict[str, str]) -> dict[str, str]:
        """Return the units whose file is missing or damaged."""
        inspect = self.services.artifacts.inspect
        return {key: file for key, file in done.items() if inspect(file) is not State.SOUND}

    def _reopen(self, lost: dict[str, str], rounds: int) -> None:
        """Have units crafted anew.

        Raises
        ------
        Damaged
            That was tried often enough.
        """
        if rounds > _MOST_ROUNDS:
            raise Damaged(
                f"{len(lost)} units were lost {_MOST_ROUNDS} times after they were crafted: the "
                f"artifact folder does not keep what is written to it; the operator must look"
            )
        logger.error("%d units of job %s are lost and crafted anew", len(lost), self.job_id)
        with self.services.database.write() as session:
            now = self.services.database.now(session)
            for key, file in lost.items():
                units.reopen(session, key, file, now)

    def _join(self, done: dict[str, str]) -> MaskSet:
        files = [load(self.services.artifacts.path(done[key])) for key in self.units]
        masks = [mask for file in files for mask in file.values()]
        return MaskSet(masks, origin_of(self.spec, self.importance))
