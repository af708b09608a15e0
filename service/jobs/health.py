"""Whether what requests need is there."""

import logging
from collections.abc import Callable

from raiw.errors import RaiwError
from service.jobs.janitor import Janitor
from service.jobs.services import Services
from service.jobs.workers import try_broker
from service.store.migrate import require_compatible

logger = logging.getLogger(__name__)

OK = "ok"


def check_database(services: Services) -> str:
    """Return ``ok``, or what is wrong with the database."""
    return _check(lambda: require_compatible(services.database))


def check_artifacts(services: Services) -> str:
    """Return ``ok``, or what is wrong with the folder or bucket of files."""
    return _check(services.artifacts.probe)


def check_broker(services: Services, janitor: Janitor) -> str:
    """Return ``ok``, or what is wrong with the broker; without it jobs are accepted and wait."""
    try:
        try_broker(services.settings)
    except RaiwError as error:
        return f"{error.message}; jobs wait"
    return OK if janitor.broker_answers else "did not take the last message; jobs wait"


def _check(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except RaiwError as error:
        return error.message
    except OSError as error:
        logger.warning("not ready: %s", error)
        return "does not answer; the log says why"
    return OK
