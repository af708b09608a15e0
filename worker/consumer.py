"""The worker's connection to the broker, made again whatever ended the last one."""

import logging
import time
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 8.0
"""A worker that waits longer would keep jobs waiting after a long outage."""


class Consumer(CeleryConsumer):  # type: ignore[misc]  # celery has no types
    """Connects again after any error.

    Celery handles network errors only. A broker that refuses a request, or a defect in the client
    that shows when a connection is lost at the wrong moment, would end the worker.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (Exception,)

    def ensure_connected(self, connection: Any) -> Any:
        """Wait until the broker answers."""

        def say(error: Exception, seconds: float) -> None:
            self._say(error, seconds)

        return connection.ensure_connection(
            say,
            interval_start=_PAUSE_SECONDS,
            interval_step=_PAUSE_SECONDS,
            interval_max=_LONGEST_PAUSE_SECONDS,
            callback=state.maybe_shutdown,
        )

    def on_connection_error_before_connected(self, error: Exception) -> None:
        """Pause: what was refused at once would be refused again."""
        self._say(error, _PAUSE_SECONDS)
        time.sleep(_PAUSE_SECONDS)

    def on_connection_error_after_connected(self, error: Exception) -> None:
        """Drop the connection."""
        logger.debug("what ended the connection", exc_info=error)
        super().on_connection_error_after_connected(error)
        self.on_connection_error_before_connected(error)

    def _say(self, error: Exception, seconds: float) -> None:
        broker = self.conninfo.as_uri()
        words = " ".join(str(error).split()) or type(error).__name__
        logger.error("no jobs from the broker %s; next try in %g s: %s", broker, seconds, words)
