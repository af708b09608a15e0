"""How one knows that workers are there, or could be."""

from kombu.exceptions import OperationalError

from raiw.errors import Unreachable
from service.contract.tasks import Queue
from service.jobs.queue import celery_app
from service.settings import Settings

READY = "raiw worker is ready"
"""What a worker prints once it takes jobs."""
_GLANCE_SECONDS = 2
_NO_QUEUE = "raiw.none"
"""A queue that nobody fills."""


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


def try_broker(settings: Settings) -> None:
    """Do what a worker does at the broker, on a new connection: log in, and wait for a message.

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
