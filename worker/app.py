"""The Celery application of a worker process."""

import multiprocessing
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

from service.contract.tasks import Task
from service.jobs.queue import celery_app
from service.jobs.services import Services
from service.settings import Settings
from worker.measuring import measure_masks
from worker.pool import PoolProcess
from worker.runner import assist_job, run_job


def create_worker(settings: Settings) -> Celery:
    """Return the application with all tasks registered.

    Each pool process opens its own connections after the fork; none is inherited.
    """
    app = celery_app(settings)
    pool: list[PoolProcess] = []  # this process, once it is one
    stopping = multiprocessing.Event()  # set in the parent, seen by the pool processes

    def _open(**_: Any) -> None:
        pool.append(PoolProcess(Services.open(settings), stopping.is_set))
        pool[0].forks.open()

    def _close(**_: Any) -> None:
        process = pool.pop()
        process.forks.close()
        process.services.database.close()

    def _stop(**_: Any) -> None:
        stopping.set()

    worker_shutting_down.connect(_stop, weak=False)
    worker_process_init.connect(_open, weak=False)
    worker_process_shutdown.connect(_close, weak=False)

    @app.task(name=Task.RUN_JOB.value)
    def _run_job(job_id: str) -> None:
        run_job(pool[0], job_id)

    @app.task(name=Task.ASSIST_JOB.value)
    def _assist_job(job_id: str) -> None:
        assist_job(pool[0], job_id)

    @app.task(name=Task.MEASURE_MASKS.value)
    def _measure_masks(digest: str) -> None:
        measure_masks(pool[0], digest)

    return app
