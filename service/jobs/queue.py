"""The broker: one Celery configuration for the producer and the worker, and the producer itself.

The database is the only truth about a job; a message carries one id. Losing, doubling or delaying
a message is harmless, and every setting below follows from that.
"""

import json
import logging
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.entity import Queue as BrokerQueue

from raiw.errors import Unreachable
from service.contract.tasks import Queue
from service.settings import Settings

logger = logging.getLogger(__name__)

_LONGEST_TASK_SECONDS = 8 * 86400
_PREFIX = "raiw:"


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application that talks to the broker of the settings."""
    app = Celery("raiw", broker=settings.broker, set_as_current=False)
    app.conf.update(
        # JSON only: a reachable broker must not be able to run code.
        task_serializer="json",
        accept_content=["json"],
        # No result backend: results are rows, and chords are not used.
        task_ignore_result=True,
        # A worker reserves only what it can start; redelivery is harmless, the claim drops it.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # The reaper retries a task whose process was killed, and counts attempts; the broker
        # cannot.
        task_reject_on_worker_lost=False,
        # A lost connection must not kill a long job; the redelivered message is dropped.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Redelivery by the broker would only make duplicates: the janitor republishes.
        visibility_timeout=_LONGEST_TASK_SECONDS,
        broker_transport_options={
            "visibility_timeout": _LONGEST_TASK_SECONDS,
            "global_keyprefix": _PREFIX,
            # A hanging broker must not hang the janitor.
            "socket_connect_timeout": 5,
            "socket_timeout": 10,
            "socket_keepalive": not settings.broker.startswith("redis+socket"),
            "health_check_interval": 30,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        broker_connection_timeout=5,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # The janitor has its own backoff.
        task_publish_retry=False,
        # A misspelt queue name fails instead of filling a queue that nobody reads.
        task_create_missing_queues=False,
        task_default_queue=Queue.CPU.value,
        task_queues=[BrokerQueue(queue.value) for queue in Queue],
        # Events are our own, in the database; the entry point sets up logs.
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        # On a busy machine a fresh pool process may import for longer than the 4 s Celery allows.
        worker_proc_alive_timeout=60,
        # Fresh processes limit what a leak in a library can cost.
        worker_max_tasks_per_child=1000,
        worker_soft_shutdown_timeout=0,
    )
    return app


class Broker:
    """What the janitor does with the broker; each call takes seconds at most."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self.answers = True
        """Whether the broker answered the last call."""

    def publish(self, task: str, queue: str, argument: str) -> None:
        """Send one message.

        Raises
        ------
        Unreachable
            The broker does not take it.
        """
        with self._asked():
            self._app.send_task(task, args=[argument], queue=queue)

    def count(self, queue: str) -> int:
        """Return how many messages no worker has fetched yet.

        Raises
        ------
        Unreachable
            The broker does not answer.
        """
        return int(self._list("LLEN", queue))

    def holds(self, queue: str) -> set[str]:
        """Return the arguments of the messages that no worker has fetched yet.

        Raises
        ------
        Unreachable
            The broker does not answer.
        """
        return {_argument(message) for message in self._list("LRANGE", queue, 0, -1)}

    def close(self) -> None:
        """Close the connections."""
        self._app.close()

    def _list(self, command: str, queue: str, *arguments: int) -> Any:
        """Query the list that a queue is in Redis."""
        # kombu prefixes the keys of the commands it knows.
        key = queue if command == "LLEN" else _PREFIX + queue
        with (
            self._asked(),
            self._app.pool.acquire(block=True) as connection,
            connection.default_channel.conn_or_acquire() as client,
        ):
            return client.execute_command(command, key, *arguments)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a broker client raises, the broker is down
            if self.answers:
                logger.warning("the broker does not answer; jobs wait: %s", error)
            self.answers = False
            raise Unreachable(f"the broker does not answer: {error}") from error
        if not self.answers:
            logger.info("the broker answers again")
        self.answers = True


def _argument(message: bytes) -> str:
    """Return the one argument that a message carries, as Celery and kombu wrap it."""
    (argument,), *_ = json.loads(b64decode(json.loads(message)["body"]))
    return str(argument)
