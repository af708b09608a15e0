"""A process of a worker's pool, in the process of the tests."""

from collections.abc import Callable

from service.jobs.services import Services
from worker.forks import ForkServer
from worker.pool import PoolProcess

FORKS = ForkServer()
"""Opened by the fixture ``forks``, in a thread that outlives the tests."""


def pool(services: Services, stopping: Callable[[], bool] = lambda: False) -> PoolProcess:
    return PoolProcess(services, stopping, FORKS)
