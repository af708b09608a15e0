"""Running a job: claim, craft layer by layer, store the masks, close the job once."""

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from raiw.errors import RaiwError
from raiw.masks import Mask, MaskSet, load
from raiw.pipeline import craft
from raiw.specs.plan import PlannedLayer
from raiw.statistics import measure
from service.contract.jobs import JobStatus
from service.jobs.services import Services
from service.store import jobs, masks
from service.store.tables import Job
from worker.lease import Canceled, Lease, Lost, ShuttingDown
from worker.units import SharedJob

logger = logging.getLogger(__name__)

# Measuring must not keep a worker from crafting for long: a second a layer, no more.
_EXACT_ORDER = 1024
"""Larger layers get an estimate with its error."""
_MEASURED_EDGES = 1 << 20
"""Still larger ones are left to whoever wants to know: ``raiw show`` measures any size."""
_REPORT_SECONDS = 0.25
"""Progress of quick layers is gathered for so long, because each report is a commit."""


def run_job(services: Services, job_id: str, stopping: Callable[[], bool]) -> None:
    """Run a queued job; do nothing when another worker has it or it is over.

    Once ``stopping()`` holds, the job is given back before its next layer.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    lease_time = timedelta(seconds=services.settings.lease_seconds)
    with services.database.write() as session:
        now = services.database.now(session)
        job = jobs.claim(session, job_id, owner, lease_time, now)
    if job is None:
        logger.info("job %s is not to be had: another worker was first, or it is over", job_id)
        return
    attempt = jobs.Attempt(job.id, job.attempt)
    logger.info("job %s, attempt %d: %d layers", job.id, job.attempt, job.total)

    def renew(session: Session, extension: timedelta, now: datetime) -> str | None:
        return jobs.renew(session, attempt, extension, now)

    with Lease(services, renew, job.timeout_seconds, stopping) as lease:
        _run_attempt(services, job, attempt, lease, stopping)


def assist_job(services: Services, job_id: str, stopping: Callable[[], bool]) -> None:
    """Help the worker that runs a large job; do nothing when it is over."""
    with services.database.read() as session:
        job = jobs.find(session, job_id)
    if job is not None and job.status == JobStatus.RUNNING:
        SharedJob.of(services, job, stopping).assist()


def _run_attempt(
    services: Services,
    job: Job,
    attempt: jobs.Attempt,
    lease: Lease,
    stopping: Callable[[], bool],
) -> None:
    try:
        shared = SharedJob.of(services, job, stopping)
        crafted = _craft(shared, Reporter(services, attempt, lease, job.total))
        _store(services, attempt, crafted)
    except Lost:
        logger.warning("job %s was taken away; attempt %d writes nothing", job.id, attempt.number)
    except ShuttingDown:
        logger.info("job %s goes back to the queue: this worker ends", job.id)
        with services.database.write() as session:
            jobs.release(session, attempt, job.queue, services.database.now(session))
    except Canceled:
        _end(services, attempt, JobStatus.CANCELED, None)
    except RaiwError as error:
        _end(services, attempt, JobStatus.FAILED, _problem(error))
    except MemoryError:
        _end(services, attempt, JobStatus.FAILED, _OUT_OF_MEMORY)
    except Exception:
        # What the exception says may hold anything; the log has it, the client a stable code.
        logger.exception("job %s failed by a defect", job.id)
        _end(services, attempt, JobStatus.FAILED, _INTERNAL)


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
        _end(services, attempt, JobStatus.CANCELED, None)


def _end(
    services: Services, attempt: jobs.Attempt, status: JobStatus, error: dict[str, Any] | None
) -> None:
    with services.database.write() as session:
        jobs.end(session, attempt, status, error, services.database.now(session))


def measure_masks(services: Services, digest: str) -> None:
    """Compute and store the statistics of stored masks, once."""
    with services.database.read() as session:
        row = masks.find(session, digest)
    if row is None or row.statistics is not None:
        return
    stream = masks.stream(services.database, services.artifacts, row, 0, row.size)
    crafted = load(b"".join(stream))
    statistics = {
        name: measure(mask.graph, mask.groups, exact_order=_EXACT_ORDER).to_json()
        for name, mask in crafted.items()
        if mask.edges <= _MEASURED_EDGES
    }
    with services.database.write() as session:
        masks.set_statistics(session, digest, {"layers": statistics})


def _problem(error: RaiwError) -> dict[str, Any]:
    problem = {"code": error.code, "title": error.title, "detail": error.message}
    return problem | ({"pointer": error.pointer} if error.pointer else {})


_OUT_OF_MEMORY = {
    "code": "out-of-memory",
    "title": "The worker ran out of memory",
    "detail": "a layer did not fit into the worker's memory: use a larger worker",
}
_INTERNAL = {
    "code": "internal-error",
    "title": "The worker failed by a defect",
    "detail": "the worker's log holds the details under this job's id",
}
