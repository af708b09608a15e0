"""What every use case needs, wired once by the entry point."""

from collections.abc import Callable
from dataclasses import dataclass

from service.settings import Settings
from service.store.artifacts import Artifacts
from service.store.database import Database
from service.store.remote import open_artifacts


def _nobody() -> None:
    return


@dataclass(frozen=True, slots=True)
class Services:
    """Settings, database and artifacts of one process."""

    settings: Settings
    database: Database
    artifacts: Artifacts
    wake: Callable[[], None] = _nobody
    """Tells the janitor at once that a message waits."""

    @classmethod
    def open(cls, settings: Settings, wake: Callable[[], None] = _nobody) -> "Services":
        """Connect to what the settings name."""
        return cls(settings, Database(settings), open_artifacts(settings), wake)
