"""One log: a line has the time in UTC, the level, the component and the message.

A line about a request, or about a job it asked for, ends with the id of the request.
"""

import logging
import logging.config
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_QUIET = ("alembic", "celery", "kombu", "uvicorn.error")
"""Libraries that are too talkative at ``info``."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request being served, or of the one that asked for the job at hand."""


@contextmanager
def about(identity: str | None) -> Iterator[None]:
    """Let the lines of a block end with the id of a request, if there is one."""
    token = request_id.set(identity)
    try:
        yield
    finally:
        request_id.reset(token)


class _Utc(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Write levels as they are set: in lower case."""
        record.levelname = record.levelname.lower()
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        """End the line, which a traceback may follow, with the id of the request."""
        line = super().formatMessage(record)
        identity = request_id.get()
        return f"{line} request_id={identity}" if identity else line


def configure_logs(part: str, level: str) -> None:
    """Send every log record of this process to standard error; ``part`` stands in each line."""
    libraries = level if level == "debug" else "warning"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": _Utc,
                    "format": f"%(asctime)s %(levelname)-7s {part:<6} %(message)s",
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {name: {"level": libraries.upper()} for name in _QUIET},
        }
    )
    logging.captureWarnings(capture=True)
