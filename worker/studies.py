"""The trials of searches in an Optuna storage, for its dashboard and its library."""

import logging
from typing import Any

from raiw import extras
from service.jobs.services import Services
from worker.supervising import OnEvent

logger = logging.getLogger(__name__)


def heard(services: Services, job_id: str, on_event: OnEvent) -> OnEvent:
    """Return what hears the events of a job's task: a study is kept, all else is passed on."""

    def hear(event: str, data: dict[str, Any]) -> None:
        if event == "study":
            _keep(services, data | {"name": job_id})
        else:
            on_event(event, data)

    return hear


def _keep(services: Services, study: dict[str, Any]) -> None:
    url, schema = services.settings.studies
    kept = extras.load("raiw.searching.kept")
    try:
        with kept.opened(url, schema) as storage:
            kept.keep(storage, study)
    except Exception as error:  # noqa: BLE001 -- a search goes on without what only shows it
        logger.warning("the trials of %s are not shown yet: %s", study["name"], error)
