"""How one knows that workers are there."""

from kombu.exceptions import OperationalError

from raiw.errors import Unreachable
from service.jobs.queue import celery_app
from service.settings import Settings

READY = "raiw worker is ready"
"""What a worker prints once it takes jobs."""


def answering(settings: Settings, *, timeout: float, host: str | None = None) -> bool:
    """Whether a worker (of that host) answers over the broker within ``timeout`` seconds.

    Raises
    ------
    Unreachable
        The broker does not answer.
    """
    app = celery_app(settings)
    try:
        first = {"limit": 1} if host is None else {}
        replies = app.control.broadcast("ping", reply=True, timeout=timeout, **first) or []
    except OperationalError as error:
        raise Unreachable(f"the broker does not answer: {error}") from None
    finally:
        app.close()
    names = [name for reply in replies for name in reply]
    return any(host is None or name.endswith(f"@{host}") for name in names)
