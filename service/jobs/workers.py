"""How to tell whether workers are running, or could be."""

import logging

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from raiw.errors import Unreachable
from service.contract.tasks import STANDING, Queue
from service.jobs.queue import celery_app
from service.settings import Settings

logger = logging.getLogger(__name__)

READY = "raiw worker is ready"
"""What a worker prints once it takes jobs."""
_GLANCE_SECONDS = 2
_NO_QUEUE = "raiw.none"
"""A queue that is always empty."""


def standing(settings: Settings, host: str, *, timeout: float) -> str:
    """Describe the state of a host's workers.

    Raises
    ------
    Unreachable
        No worker answers over the broker within ``timeout`` seconds, the broker does not answer, or
        processes of a worker hang.
    """
    found = [
        answer
        for name, answer in every_standing(settings, timeout=timeout).items()
        if name.endswith(f"@{host}")
    ]
    if not found:
        raise Unreachable(f"no worker of {host} answered within {timeout:g} s")
    stuck, processes = (sum(answer[name] for answer in found) for name in ("stuck", "processes"))
    if stuck:
        raise Unreachable(
            f"{stuck} of the {processes} processes that work on {host} hang: restart the worker"
        )
    return f"a worker of {host} answers"


def every_standing(settings: Settings, *, timeout: float) -> dict[str, dict[str, int]]:
    """Return what the workers that answer say of their ``processes``, and how many are ``stuck``.

    Raises
    ------
    Unreachable
        The broker does not answer.
    """
    app = celery_app(settings)
    try:
        # A connection of its own: one that has waited for answers has one more to read, and would
        # give it to whoever gets the connection from the pool next.
        with app.connection_for_write() as own:
            asked = app.control.broadcast(STANDING, reply=True, timeout=timeout, connection=own)
            replies = asked or []
    except Exception as error:  # whatever a broker client raises, the broker is down
        if not isinstance(error, OperationalError | RedisError):
            logger.warning("asking workers how they are failed", exc_info=True)
        raise Unreachable(f"the broker does not answer, or not to this worker: {error}") from None
    finally:
        app.close()
    return {
        name: answer for reply in replies for name, answer in reply.items() if "processes" in answer
    }


def try_broker(settings: Settings) -> None:
    """Do what a worker does with the broker, on a new connection: log in and wait for a message.

    Raises
    ------
    Unreachable
        The broker does not answer within seconds, or refuses; the message says why.
    """
    app = celery_app(settings)
    app.conf.broker_transport_options |= dict.fromkeys(
        ("socket_timeout", "socket_connect_timeout"), _GLANCE_SECONDS
    )
    try:
        with app.connection_for_read() as connection:
            client = connection.default_channel.client
            for queue in Queue:
                client.llen(queue.value)
            client.brpop([_NO_QUEUE], timeout=0.01)
    except Exception as error:  # noqa: BLE001 -- whatever a broker client raises, it says why
        raise Unreachable(str(error) or type(error).__name__) from None
    finally:
        app.close()
