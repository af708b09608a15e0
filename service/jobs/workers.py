"""How one knows that workers are there."""

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from raiw.errors import Unreachable
from service.contract.tasks import STANDING
from service.jobs.queue import celery_app
from service.settings import Settings

READY = "raiw worker is ready"
"""What a worker prints once it takes jobs."""


def standing(settings: Settings, host: str, *, timeout: float) -> str:
    """Return how the workers of a host are, in words.

    Raises
    ------
    Unreachable
        None answers over the broker within ``timeout`` seconds, the broker does not, or processes
        of a worker hang.
    """
    app = celery_app(settings)
    try:
        replies = app.control.broadcast(STANDING, reply=True, timeout=timeout) or []
    except (OperationalError, RedisError) as error:
        raise Unreachable(f"the broker does not answer, or not to this worker: {error}") from None
    finally:
        app.close()
    found = [
        answer
        for reply in replies
        for name, answer in reply.items()
        if name.endswith(f"@{host}") and "processes" in answer
    ]
    if not found:
        raise Unreachable(f"no worker of {host} answered within {timeout:g} s")
    stuck, processes = (sum(answer[name] for answer in found) for name in ("stuck", "processes"))
    if stuck:
        raise Unreachable(
            f"{stuck} of the {processes} processes that work on {host} hang: restart the worker"
        )
    return f"a worker of {host} answers"
