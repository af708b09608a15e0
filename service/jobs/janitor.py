"""The janitor: publishes messages and repairs what stopped halfway.

Each of its duties has a thread and a pace of its own, so that none waits for another: neither a
flood of messages nor a broker that hangs keeps lost jobs from being found. Any number may run, in
any process: each step is a guarded statement, so doing it twice is safe.

The broker gets few messages at a time, as workers need no more (:mod:`service.jobs.allotment`), and
owners take turns (:mod:`service.store.turns`). A message that was published a while ago and is
neither claimed nor held by the broker has been lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from raiw.errors import Unreachable
from service.contract.tasks import Queue
from service.jobs.allotment import room
from service.jobs.delivering.courier import Courier
from service.jobs.housekeeping import keep_house
from service.jobs.queue import Broker
from service.jobs.services import Services
from service.jobs.workers import every_standing
from service.store import duties, outbox, recovery, turns
from service.store.tables import OutboxRow

logger = logging.getLogger(__name__)

_HOLD = timedelta(seconds=15)
_BACKOFF = timedelta(seconds=1)
_ABSENCE_SECONDS = 5.0
"""A database that no sweep has reached for this long was down for workers too."""
_RENEWAL_SECONDS = 5.0
"""Time for workers to renew their leases once it is back."""
_SHORTEST_PAUSE_SECONDS = 0.01
_CLOSEST_SECONDS = 0.01
"""Between two beginnings of a step, however often it is nudged: a flood of jobs wakes it once for
many."""
_HOUSEKEEPING_ROUNDS = 60
_COUNT_SECONDS = 15.0
_ANSWER_SECONDS = 1.0
"""Time for workers to answer; nobody waits for it when the server stops."""
_COURIER_SECONDS = 2.0
"""Time for messages under way when the server stops."""


class Loop:
    """A thread that repeats a step, without a pause while there is more to do.

    Otherwise it pauses, longer each time up to ``pace`` seconds; a nudge ends the pause.
    """

    def __init__(self, step: Callable[[], bool | None], pace: float) -> None:
        self._step = step
        self._pace = pace
        self._nudge = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=step.__name__, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def nudge(self) -> None:
        """Take the next step at once."""
        self._nudge.set()

    def tell_to_stop(self) -> None:
        """Make it end after the current step."""
        self._stopping.set()
        self._nudge.set()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(timeout=30)

    def _run(self) -> None:
        pause = self._pace
        while not self._stopping.is_set():
            began = time.monotonic()
            pause = _SHORTEST_PAUSE_SECONDS if self._more() else min(1.5 * pause, self._pace)
            self._nudge.wait(pause)
            self._stopping.wait(began + _CLOSEST_SECONDS - time.monotonic())
            self._nudge.clear()

    def _more(self) -> bool:
        try:
            return bool(self._step())
        except Unreachable:
            pass  # the broker's failure has been logged
        except SQLAlchemyError as error:
            logger.warning("the database does not answer; the janitor will try again: %s", error)
        except Exception:
            logger.exception("a step of the janitor failed; it will try again")
        return False


class Janitor:
    """The threads, until they are stopped."""

    def __init__(self, services: Services, broker: Broker) -> None:
        self._services = services
        self._broker = broker
        settings = services.settings
        pace = settings.janitor_seconds
        self._processes = dict.fromkeys(Queue, 0)
        """How many jobs the workers that last answered run at once."""
        self._served = dict.fromkeys(Queue, "")
        """The owner of the last message that was published."""
        self._swept = self._patient_until = time.monotonic()
        self.workers: dict[str, dict[str, int]] | None = None
        """What each worker that answers says of itself; None while the broker is silent."""
        self.lost_leases = 0
        """Jobs that this janitor has taken from silent workers."""
        self._full: set[Queue] = set()
        """Queues of which the broker holds plenty."""
        self._relay = Loop(self.relay, pace)
        self.courier = Courier(services, self.deliver)
        self._deliver = Loop(self.courier.deliver, pace)
        self._counting = Loop(self.count_workers, _COUNT_SECONDS)
        self._loops = [
            self._relay,
            self._deliver,
            Loop(self.sweep, pace),
            Loop(self.recover, settings.republish_seconds / 2),
            Loop(self.keep_house, pace * _HOUSEKEEPING_ROUNDS / 2),
        ]

    @property
    def broker_answers(self) -> bool:
        """Whether the broker took the last message."""
        return self._broker.answers

    def start(self) -> None:
        """Begin."""
        for loop in (*self._loops, self._counting):
            loop.start()

    def wake(self, queue: Queue) -> None:
        """Publish now, unless the queue's workers have plenty, instead of at the next round."""
        if queue not in self._full:
            self._relay.nudge()

    def deliver(self) -> None:
        """Send to webhooks now instead of at the next round."""
        self._deliver.nudge()

    def stop(self) -> None:
        """End after the current steps."""
        for loop in (*self._loops, self._counting):
            loop.tell_to_stop()
        for loop in self._loops:
            loop.join()
        self.courier.finish(_COURIER_SECONDS)

    def relay(self) -> bool:
        """Publish what is due, as far as the broker has room; return whether more may be due."""
        return sum(map(self._relay_queue, Queue)) > 0

    def sweep(self) -> bool:
        """Expire queued jobs, take jobs from silent workers; return whether there may be more."""
        database = self._services.database
        with database.look() as session:
            overdue = recovery.is_overdue(session, database.now(session))
        patient = self._is_patient()
        if not overdue:
            return False
        with database.write() as session:
            now = database.now(session)
            expired = recovery.expire_queued(session, now)
            lost = 0 if patient else recovery.reap(session, now, _BACKOFF)
        self.lost_leases += lost
        if lost:
            logger.warning("%d jobs lost their worker", lost)
        return recovery.BATCH in (expired, lost)

    def _is_patient(self) -> bool:
        """Whether the database was down until just now, so that nobody could renew a lease."""
        before, self._swept = self._swept, time.monotonic()
        if self._swept - before > self._services.settings.janitor_seconds + _ABSENCE_SECONDS:
            self._patient_until = self._swept + _RENEWAL_SECONDS
        return self._swept < self._patient_until

    def recover(self) -> bool:
        """Publish again what the broker has lost; return whether there may be more."""
        return sum(map(self._recover_queue, Queue)) > 0

    def count_workers(self) -> None:
        """Ask the workers how they are."""
        try:
            self.workers = every_standing(self._services.settings, timeout=_ANSWER_SECONDS)
        except Unreachable:
            self.workers = None
        if self.workers:  # those of a busy machine may be too slow to answer
            for queue in Queue:
                told = [answer.get(queue, 0) for answer in self.workers.values()]
                self._processes[queue] = sum(told)

    def keep_house(self) -> None:
        """Remove what has outlived its time; one server does it for all."""
        every = timedelta(seconds=self._services.settings.janitor_seconds * _HOUSEKEEPING_ROUNDS)
        if duties.take(self._services.database, "keep house", every):
            keep_house(self._services)

    def _relay_queue(self, queue: Queue) -> bool:
        database = self._services.database
        if not (places := self._places(queue)):
            return False  # workers are busy for a while; each round is two commits
        with database.write() as session:
            now, last = database.now(session), self._served[queue]
            messages = outbox.take(session, queue, places, now, _HOLD, last)
        if messages:
            self._served[queue] = messages[-1].owner_id
        published = 0
        try:
            for message in messages:
                self._broker.publish(message.task, message.queue, message.argument)
                published += 1
        finally:
            self._record(messages[:published], messages[published:])
        return len(messages) == places

    def _places(self, queue: Queue) -> int:
        """Return how many messages to publish: none where none is due or workers have plenty."""
        database = self._services.database
        with database.look() as session:
            now = database.now(session)
            if not outbox.has_due(session, queue, now):
                self._full.discard(queue)
                return 0
            busy = turns.running(session, queue, now).total()
        places = room(self._broker.count(queue), busy, self._processes[queue])
        (self._full.discard if places else self._full.add)(queue)
        return places

    def _record(self, published: Sequence[OutboxRow], refused: Sequence[OutboxRow]) -> None:
        database = self._services.database
        with database.write() as session:
            now = database.now(session)
            outbox.remove(session, published, now)
            outbox.postpone(session, refused, now)

    def _recover_queue(self, queue: Queue) -> bool:
        database = self._services.database
        with database.read() as session:
            patience = timedelta(seconds=self._services.settings.republish_seconds)
            before = database.now(session) - patience
            published = recovery.published(session, queue, before)
        if not published:
            return False
        held = self._broker.holds(queue)
        lost = [job_id for job_id in published if job_id not in held]
        if not lost:
            return False
        with database.write() as session:
            now = database.now(session)
            again = recovery.publish_again(session, lost, before, now)
        if again:
            logger.info("the broker has lost %d messages; they will be published again", again)
            self.wake(queue)
        return len(published) == recovery.BATCH and again > 0
