"""The trials of searches in an Optuna storage, for its dashboard and its library."""

import logging
from functools import partial
from typing import Any

from raiw import extras
from service.jobs.services import Services
from worker.supervising import OnEvent

logger = logging.getLogger(__name__)


def heard(services: Services, on_event: OnEvent) -> OnEvent:
    """Return what hears the events of a task: studies are kept, all else is passed on."""
    return partial(_hear, services, on_event)


def _hear(services: Services, on_event: OnEvent, event: str, data: dict[str, Any]) -> None:
    if event != "study":
        on_event(event, data)
        return
    url, schema = services.settings.studies
    kept = extras.load("raiw.searching.kept")
    try:
        with kept.opened(url, schema) as storage:
            kept.keep(storage, data)
    except Exception as error:  # noqa: BLE001 -- a search goes on without what only shows it
        logger.warning("the trials of %s are not shown yet: %s", data["name"], error)
