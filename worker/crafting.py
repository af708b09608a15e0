"""Craft jobs: layer by layer here, or in units with the help of other workers."""

import time
from collections.abc import Callable
from typing import Any

from raiw.masks import Mask, MaskSet
from raiw.pipeline import craft
from raiw.specs.plan import PlannedLayer
from service.jobs.services import Services
from service.store import jobs, masks
from service.store.tables import Job
from worker.lease import Canceled, Lease
from worker.units import SharedJob

_REPORT_SECONDS = 0.25
"""Progress of quick layers is gathered for so long, because each report is a commit."""


def run_craft(
    services: Services,
    job: Job,
    attempt: jobs.Attempt,
    lease: Lease,
    stopping: Callable[[], bool],
) -> None:
    """Craft the masks of a job, store them and close it.

    Raises
    ------
    Stopped
        It must stop: canceled, out of time, taken away, or the worker ends.
    """
    shared = SharedJob.of(services, job, stopping)
    _store(services, attempt, _craft(shared, Reporter(services, attempt, lease, job.total)))


def _craft(job: SharedJob, reporter: "Reporter") -> MaskSet:
    if len(job.units) > 1:
        return job.craft(reporter.check, reporter.layers_done)
    return craft(
        job.spec, job.importance, on_layer=reporter.layer_done, should_stop=reporter.should_stop
    )


class Reporter:
    """Tells the database of finished layers, now and then, and the work of a wish to stop it."""

    def __init__(self, services: Services, attempt: jobs.Attempt, lease: Lease, total: int) -> None:
        self._services = services
        self._total = total
        self._attempt = attempt
        self._lease = lease
        self._layers: list[dict[str, Any]] = []
        self._reported = time.monotonic()

    def check(self) -> None:
        """Raise when the work must stop."""
        self._lease.check()

    def should_stop(self) -> bool:
        """Raise when the work must stop; the pipeline asks before every layer."""
        self._lease.check()
        return False

    def layer_done(self, completed: int, total: int, mask: Mask) -> None:
        """Take note of a layer crafted here."""
        layer = {"name": mask.name, "shape": list(mask.shape), "edges": mask.edges}
        self._layers.append(layer | {"completed": mask.completed})
        if completed == total or time.monotonic() - self._reported >= _REPORT_SECONDS:
            self._report(completed)

    def layers_done(self, completed: int, layers: list[PlannedLayer]) -> None:
        """Take note of layers that workers have finished together."""
        self._layers = [
            {"name": layer.name, "shape": list(layer.shape), "edges": layer.edges}
            for layer in layers
        ]
        self._report(completed)

    def _report(self, completed: int) -> None:
        phase, total = "crafting", self._total
        data = {"phase": phase, "completed": completed, "total": total, "layers": self._layers}
        with self._services.database.write() as session:
            now = self._services.database.now(session)
            self._lease.observe(jobs.report(session, self._attempt, phase, completed, data, now))
        self._layers, self._reported = [], time.monotonic()


def _store(services: Services, attempt: jobs.Attempt, crafted: MaskSet) -> None:
    """Store the masks and close the job, in one transaction that a lost lease refuses."""
    file = crafted.to_bytes()
    services.artifacts.require_space(len(file))
    if len(file) > services.settings.masks_in_database_bytes:
        services.artifacts.put(file)  # before the transaction: it takes seconds, others wait
    with services.database.write() as session:
        now = services.database.now(session)
        masks.add(
            session,
            services.artifacts,
            digest=crafted.digest,
            file=file,
            document=crafted.to_json(),
            in_database_bytes=services.settings.masks_in_database_bytes,
            now=now,
        )
        won = jobs.succeed(session, attempt, crafted.digest, now)
        if not won:
            # Canceled or taken away at the last moment; an unwon end changes nothing.
            session.rollback()
    if not won:
        raise Canceled("canceled at the last moment")
