"""One process of the worker's pool, which supervises what it does not do itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

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
    """Told several times a second while there is work: this process does not hang."""
