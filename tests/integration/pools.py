"""A process of a worker's pool, in the process of the tests."""

from collections.abc import Callable

from service.jobs.services import Services
from worker.forks import ForkServer
from worker.pool import PoolProcess
from worker.runner import run_job

FORKS = ForkServer()
"""Opened by the fixture ``forks``, in a thread that outlives the tests."""


def pool(services: Services, stopping: Callable[[], bool] = lambda: False) -> PoolProcess:
    return PoolProcess(services, stopping, FORKS)


def run_alone(services: Services, job_id: str) -> None:
    """Run a job in a process that may be killed meanwhile, or is a copy of another."""
    process = PoolProcess(services, lambda: False)
    try:
        run_job(process, job_id)
    finally:
        process.forks.close()
