"""The Celery application of a worker process."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down
from celery.worker.control import Panel

from service.contract.access import NOBODY
from service.contract.tasks import STANDING, Task
from service.jobs.queue import celery_app
from service.jobs.services import Services
from service.settings import Settings
from service.tracing import TRACING
from worker.measuring import measure_masks
from worker.pool import PoolHealth, PoolProcess
from worker.runner import assist_job, run_job

_HANGING_LEASES = 5
"""A busy pool process that has not moved for this many lease times hangs."""


def create_worker(settings: Settings) -> Celery:
    """Return the application with all tasks registered.

    Each pool process opens its own connections after the fork; none is inherited.
    """
    app = celery_app(settings)
    pool: list[PoolProcess] = []  # this process, once it is one
    stopping = multiprocessing.Event()  # set in the parent, seen by the pool processes
    health = PoolHealth(settings.worker_concurrency)

    def _open(**_: Any) -> None:
        TRACING.start("worker", settings)
        services = Services.open(settings).of(NOBODY)  # until a job says on whose behalf
        pool.append(PoolProcess(services, stopping.is_set, moved=health.move))
        pool[0].forks.open()

    @contextmanager
    def _at_work() -> Iterator[PoolProcess]:
        health.move()
        try:
            with pool[0].services.artifacts.using():
                yield pool[0]
        finally:
            health.rest()

    def _close(**_: Any) -> None:
        process = pool.pop()
        process.forks.close()
        process.services.database.close()
        TRACING.stop()

    def _stop(**_: Any) -> None:
        stopping.set()

    worker_shutting_down.connect(_stop, weak=False)
    worker_process_init.connect(_open, weak=False)
    worker_process_shutdown.connect(_close, weak=False)

    @app.task(name=Task.RUN_JOB.value)
    def _run_job(job_id: str) -> None:
        with _at_work() as process:
            run_job(process, job_id)

    @app.task(name=Task.ASSIST_JOB.value)
    def _assist_job(job_id: str) -> None:
        with _at_work() as process:
            assist_job(process, job_id)

    @app.task(name=Task.MEASURE_MASKS.value)
    def _measure_masks(digest: str) -> None:
        with _at_work() as process:
            measure_masks(process, digest)

    @Panel.register(name=STANDING, type="inspect")
    def _standing(_state: Any) -> dict[str, int]:
        seconds = _HANGING_LEASES * settings.lease_seconds
        served = ("processes", *app.amqp.queues.consume_from)
        return dict.fromkeys(served, settings.worker_concurrency) | {"stuck": health.stuck(seconds)}

    return app
