"""What every use case needs, wired once by the entry point."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from service.contract.access import LOCAL
from service.contract.tasks import Queue
from service.settings import Settings
from service.store.database import Database
from service.store.files.artifacts import Artifacts
from service.store.files.remote import open_artifacts


def _nobody(*_told: Queue) -> None:
    return


@dataclass(frozen=True, slots=True)
class Services:
    """Settings, database and artifacts of one process, and on whose behalf it acts."""

    settings: Settings
    database: Database
    artifacts: Artifacts
    wake: Callable[[Queue], None] = _nobody
    """Tells the janitor at once that a message for a queue of the broker waits."""
    deliver: Callable[[], None] = _nobody
    """Tells it that one for a webhook does."""
    owner: str = LOCAL
    """Whose rows the use cases see and write; entry points that serve many set it each time."""

    def of(self, owner: str) -> "Services":
        """Return the same on behalf of an owner."""
        return replace(self, owner=owner)

    @classmethod
    def open(cls, settings: Settings) -> "Services":
        """Connect to what the settings name."""
        return cls(settings, Database(settings), open_artifacts(settings))
