"""One log: a line is the time in UTC, the level, the part that speaks, and what it says."""

import logging
import logging.config
import time

_QUIET = ("alembic", "celery", "kombu", "uvicorn.error")
"""Libraries that tell at ``info`` what their users never ask."""


class _Utc(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Write levels as they are set: in lower case."""
        record.levelname = record.levelname.lower()
        return super().format(record)


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
