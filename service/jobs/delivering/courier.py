"""The courier: sends what waits for webhooks, each message in a thread of its own.

A receiver gets a few messages at a time, one that failed last a single one, so that none that is
slow or down keeps others waiting. Any number of couriers may run, in any process: who takes a
delivery holds it for a while, and it is sent once more by somebody if that time runs out.
"""

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy.orm import Session

from raiw.errors import RaiwError
from service.contract.webhooks import DeliveryStatus
from service.jobs.delivering.posting import Answer, post
from service.jobs.delivering.signing import generations, signed
from service.jobs.sealing import Seal
from service.jobs.services import Services
from service.store import deliveries, webhooks
from service.store.webhook_tables import DeliveryRow, WebhookRow

logger = logging.getLogger(__name__)

OUTCOMES = ("delivered", "retried", "given_up", "gone")
"""How an attempt ends; a receiver that is gone wants nothing any more."""
MOST = 64
"""Messages under way in one process."""
MOST_EACH = 4
"""Of these, to one receiver."""
_HELD_TIMEOUTS = 4
"""How many times as long as it may take a message is held, since its name is resolved too."""
_FIRST_PAUSE = timedelta(seconds=5)
_GROWTH = 4
_LONGEST_PAUSE = timedelta(hours=12)
_LONGEST_REST = timedelta(days=1)
"""Of what a receiver asks for by ``Retry-After``."""
_SHOWN = 500
"""Characters of an answer that are kept."""
_WHOLE = 0.9
"""A receiver that took nothing for this share of the time a message was tried takes nothing."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt that has ended."""

    webhook_id: str
    delivery: DeliveryRow
    answer: Answer | None
    error: str | None
    """None where the receiver took it."""


class Courier:
    """What one process sends; :meth:`deliver` is called again and again by one thread.

    Parameters
    ----------
    services
        Settings and database.
    nudge
        Called when an attempt has ended, so that the next step comes at once.
    """

    def __init__(self, services: Services, nudge: Callable[[], None]) -> None:
        self._services = services
        self._seal = Seal(services.settings)
        self._nudge = nudge
        self._under_way: Counter[str] = Counter()
        self._allowed: dict[str, int] = {}
        self._ended: deque[Sent] = deque()
        self.outcomes: Counter[str] = Counter()
        """Attempts by how they ended."""

    def deliver(self) -> bool:
        """Record what has ended and begin what is due; return whether something began."""
        self._record()
        return self._begin() > 0

    def finish(self, seconds: float) -> None:
        """Wait a while for what is under way; what takes longer is sent again by others."""
        ends = time.monotonic() + seconds
        while self._under_way.total() > len(self._ended) and time.monotonic() < ends:
            time.sleep(0.02)
        self._record()

    def _begin(self) -> int:
        database, settings = self._services.database, self._services.settings
        room = MOST - self._under_way.total()
        busy = [name for name, count in self._under_way.items() if count >= self._allowed[name]]
        with database.read() as session:
            due = deliveries.webhooks_due(session, busy, room, database.now(session))
        if not due:
            return 0
        begun: list[tuple[WebhookRow, DeliveryRow]] = []
        hold = timedelta(seconds=_HELD_TIMEOUTS * settings.webhook_timeout_seconds)
        with database.write() as session:
            now = database.now(session)
            for webhook in due:
                self._allowed[webhook.id] = allowed = 1 if webhook.failing_since else MOST_EACH
                most = min(allowed - self._under_way[webhook.id], room - len(begun))
                taken = deliveries.take(session, webhook.id, max(most, 0), now, hold)
                begun += [(webhook, delivery) for delivery in taken]
        for webhook, delivery in begun:
            self._under_way[webhook.id] += 1
            threading.Thread(
                target=self._send, args=(webhook, delivery), name="webhook", daemon=True
            ).start()
        return len(begun)

    def _send(self, webhook: WebhookRow, delivery: DeliveryRow) -> None:
        answer, error = None, None
        try:
            answer = self._post(webhook, delivery)
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                error = f"the receiver answered {answer.status}: {answer.text}"
        except RaiwError as refused:
            error = refused.message
        except Exception:
            logger.exception("message %s of webhook %s failed", delivery.id, webhook.id)
            error = "the server failed; its log says why"
        if error is not None:
            logger.info("message %s of webhook %s: %s", delivery.id, webhook.id, _told(error))
        self._ended.append(Sent(webhook.id, delivery, answer, error))
        self._nudge()

    def _post(self, webhook: WebhookRow, delivery: DeliveryRow) -> Answer:
        settings, now = self._services.settings, datetime.now(UTC)
        signing = generations(webhook.generation, webhook.rotated_at, now)
        keys = [self._seal.secret_of(webhook.id, number) for number in signing]
        return post(
            webhook.url,
            delivery.body.encode(),
            signed(keys, delivery.id, now, delivery.body),
            settings.receivers,
            settings.webhook_timeout_seconds,
        )

    def _record(self) -> None:
        batch = sorted(self._ended, key=lambda sent: (sent.webhook_id, sent.delivery.id))
        if not batch:
            return
        database = self._services.database
        with database.write() as session:
            now = database.now(session)
            outcomes = [self._record_one(session, sent, now) for sent in batch]
        for sent in batch:  # only now: a database that was away is asked again
            self._ended.remove(sent)
            self._under_way[sent.webhook_id] -= 1
        self._under_way += Counter()  # forgets those that are 0
        self.outcomes.update(outcomes)

    def _record_one(self, session: Session, sent: Sent, now: datetime) -> str:
        delivery, status = sent.delivery, sent.answer.status if sent.answer else None
        if sent.error is None:
            webhooks.note_success(session, sent.webhook_id)
            state = DeliveryStatus.DELIVERED
            deliveries.record(
                session, delivery.id, delivery.attempts, state, now, http_status=status
            )
            return "delivered"
        rest = _rest(sent.answer)
        failing_since = webhooks.note_failure(
            session, sent.webhook_id, now, now + rest if rest else None
        )
        due = self._due(delivery, rest or timedelta(), now)
        if status == HTTPStatus.GONE:
            due, outcome = None, "gone"
            self._disable(session, sent.webhook_id, "the receiver answered 410 Gone")
        else:
            outcome = "retried" if due else "given_up"
        deliveries.record(
            session,
            delivery.id,
            delivery.attempts,
            DeliveryStatus.PENDING if due else DeliveryStatus.FAILED,
            now,
            next_attempt_at=due,
            http_status=status,
            error=_told(sent.error),
        )
        if outcome == "given_up" and failing_since is not None:
            whole = _WHOLE * self._services.settings.webhook_retry_seconds
            if now - failing_since >= timedelta(seconds=whole):
                reason = f"nothing was delivered since {failing_since:%Y-%m-%d %H:%M} UTC"
                self._disable(session, sent.webhook_id, f"{reason}: {_told(sent.error)}")
        return outcome

    def _due(self, delivery: DeliveryRow, rest: timedelta, now: datetime) -> datetime | None:
        """Return when to try again: the last time when all the time is over, then never."""
        ends = delivery.since + timedelta(seconds=self._services.settings.webhook_retry_seconds)
        return None if now >= ends else min(now + max(pause(delivery.attempts), rest), ends)

    def _disable(self, session: Session, webhook_id: str, reason: str) -> None:
        if webhooks.disable(session, webhook_id, reason):
            logger.warning("webhook %s is disabled: %s", webhook_id, reason)


def pause(attempts: int) -> timedelta:
    """Return the pause after so many attempts: five seconds, four times as long each time.

    At most twelve hours, and a fifth more or less, so that messages spread.
    """
    longest: timedelta = min(_FIRST_PAUSE * _GROWTH ** min(attempts - 1, 20), _LONGEST_PAUSE)
    return longest * random.uniform(0.8, 1.2)  # noqa: S311 -- spreads load, guards no secret


def _rest(answer: Answer | None) -> timedelta | None:
    if answer is None or answer.retry_after is None:
        return None
    return min(timedelta(seconds=answer.retry_after), _LONGEST_REST)


def _told(error: str) -> str:
    """Return an error without what a database or a terminal cannot take."""
    return "".join(one if one.isprintable() else " " for one in error[:_SHOWN]).strip()
