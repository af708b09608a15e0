"""The janitor: publishes messages and puts right what stopped half way.

Any number may run, in any process: each step is a guarded statement, so doing it twice is safe.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from service.jobs.housekeeping import keep_house
from service.jobs.services import Services
from service.store import jobs, outbox
from service.store.tables import Outbox

logger = logging.getLogger(__name__)

Publish = Callable[[str, str, str], None]

_HOLD = timedelta(seconds=15)
_LONGEST_BACKOFF_SECONDS = 30.0
_MOST_MEASUREMENTS = 3
_HOUSEKEEPING_ROUNDS = 60


class Janitor:
    """A thread that works through its rounds until it is stopped."""

    def __init__(self, services: Services, publish: Publish) -> None:
        self._services = services
        self._publish = publish
        self._nudge = threading.Event()
        self._stopping = threading.Event()
        self._broker_down = False
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)

    @property
    def broker_answers(self) -> bool:
        """Whether the broker took the last message."""
        return not self._broker_down

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Publish now instead of at the next round."""
        self._nudge.set()

    def stop(self) -> None:
        """End after the current step."""
        self._stopping.set()
        self._nudge.set()
        self._thread.join(timeout=30)

    def relay(self) -> None:
        """Publish what is due."""
        database = self._services.database
        with database.write() as session:
            messages = outbox.take(session, database.now(session), _HOLD)
        if not messages:
            return
        published = self._send(messages)
        with database.write() as session:
            now = database.now(session)
            outbox.remove(session, messages[:published], now)
            if failed := messages[published:]:
                seconds = min(2.0 ** min(failed[0].attempts, 10) / 2, _LONGEST_BACKOFF_SECONDS)
                jitter = random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, guards nothing
                outbox.postpone(session, failed, now + timedelta(seconds=seconds * jitter))

    def sweep(self) -> None:
        """Expire, reap and republish."""
        settings, database = self._services.settings, self._services.database
        patience = timedelta(seconds=settings.republish_seconds)
        with database.write() as session:
            now = database.now(session)
            jobs.expire_queued(session, now)
            if lost := jobs.reap(session, now, timedelta(seconds=1)):
                logger.warning("%d jobs lost their worker", lost)
            if stale := jobs.republish(session, now, patience):
                logger.info("%d queued jobs published again", stale)
            jobs.remeasure(session, now, patience, _MOST_MEASUREMENTS)

    def keep_house(self) -> None:
        """Remove what has outlived its time."""
        keep_house(self._services)

    def _send(self, messages: Sequence[Outbox]) -> int:
        """Publish in order until the broker refuses; return how many it took."""
        for sent, message in enumerate(messages):
            try:
                self._publish(message.task, message.queue, message.argument)
            except Exception as error:  # noqa: BLE001 -- whatever a broker client raises, it is down
                if not self._broker_down:
                    logger.warning("the broker does not answer, jobs wait: %s", error)
                self._broker_down = True
                return sent
        if self._broker_down:
            logger.info("the broker answers again")
        self._broker_down = False
        return len(messages)

    def _run(self) -> None:
        steps: list[tuple[int, Callable[[], None]]] = [
            (1, self.relay),
            (1, self.sweep),
            (_HOUSEKEEPING_ROUNDS, self.keep_house),
        ]
        turn = 0
        while not self._stopping.is_set():
            nudged = self._nudge.wait(self._services.settings.janitor_seconds)
            self._nudge.clear()
            due = [self.relay] if nudged else [step for every, step in steps if turn % every == 0]
            for step in due:
                self._attempt(step)
            turn += not nudged

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._stopping.is_set():
            return
        try:
            step()
        except SQLAlchemyError as error:
            logger.warning("the database does not answer, the janitor tries again: %s", error)
        except Exception:
            logger.exception("a step of the janitor failed; it tries again")
