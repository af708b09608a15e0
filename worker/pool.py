"""The processes of a worker's pool, which supervise the processes that do the work."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.sharedctypes import RawArray

from billiard import current_process

from service.jobs.services import Services
from worker.forks import ForkServer


def _nobody() -> None:
    return


@dataclass(frozen=True, slots=True)
class PoolProcess:
    """What a pool process works with."""

    services: Services
    stopping: Callable[[], bool]
    """Whether this worker has been asked to end."""
    forks: ForkServer = field(default_factory=ForkServer)
    moved: Callable[[], None] = _nobody
    """Called several times a second while there is work: this process does not hang."""

    def on_behalf_of(self, owner: str) -> "PoolProcess":
        """Return the same, working for an owner."""
        return replace(self, services=self.services.of(owner))


class PoolHealth:
    """When each pool process last gave a sign of life, in memory shared with the worker."""

    def __init__(self, processes: int) -> None:
        self._moved = RawArray("d", processes)

    def move(self) -> None:
        """Note that this pool process is at work and does not hang."""
        self._moved[current_process().index] = time.monotonic()

    def rest(self) -> None:
        """Note that this pool process waits for work."""
        self._moved[current_process().index] = 0.0

    def stuck(self, seconds: float) -> int:
        """Return how many are at work and have not moved for so long."""
        before = time.monotonic() - seconds
        return sum(0.0 < moved < before for moved in self._moved)
