"""One log: an event a line, as text for people or as JSON for programs.

A line of text has the time in UTC, the level, the component and the message; one about a request,
or about a job it asked for, ends with the id of the request. A line of JSON is an object with
``time``, ``level``, ``part``, ``logger`` and ``message``; with ``request_id``, ``job_id`` and
``owner`` where it is about one; with ``exception`` where one was raised.
"""

import json
import logging
import logging.config
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_QUIET = ("alembic", "celery", "kombu", "uvicorn.error")
"""Libraries that are too talkative at ``info``."""
_SILENT = ("httpcore", "hpack", "httpx", "urllib3")
"""Libraries that at ``debug`` write addresses and headers, which may be secret."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request being served, or of the one that asked for the job at hand."""
job_id: ContextVar[str | None] = ContextVar("job_id", default=None)
"""Id of the job at hand."""
owner: ContextVar[str | None] = ContextVar("owner", default=None)
"""Whose request or job it is."""

_ABOUT = (request_id, job_id, owner)


@contextmanager
def about(request: str | None, job: str | None = None, whose: str | None = None) -> Iterator[None]:
    """Let the lines of a block tell the request and the job that they are about."""
    given = zip(_ABOUT, (request, job, whose), strict=True)
    tokens = [(variable, variable.set(value)) for variable, value in given]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


class _Text(logging.Formatter):
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


class _Json(logging.Formatter):
    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """Write everything about an event on one line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {variable.name: known for variable in _ABOUT if (known := variable.get())}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace").decode()


def configure_logs(part: str, level: str, form: str = "text") -> None:
    """Send every log record of this process to standard error; ``part`` stands in each line.

    ``form`` is ``text`` or ``json``.
    """
    libraries = level if level == "debug" else "warning"
    levels = dict.fromkeys(_QUIET, libraries) | dict.fromkeys(_SILENT, "warning")
    text = {"()": _Text, "format": f"%(asctime)s %(levelname)-7s {part:<6} %(message)s"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _Json, "part": part} if form == "json" else text},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {name: {"level": least.upper()} for name, least in levels.items()},
        }
    )
    logging.captureWarnings(capture=True)
