"""Webhooks end to end: a server, real receivers, and the reference library that checks them."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from sqlalchemy import update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from raiw.errors import NotFound
from service.contract.webhooks import DeliveryQuery, DeliveryStatus
from service.jobs.delivering import courier
from service.store import deliveries, jobs, webhooks
from service.store.tables import OwnerRow
from service.store.webhook_tables import WebhookRow
from tests.integration.api.servers import SPEC, Server, assert_problem
from tests.integration.stack import eventually
from tests.integration.webhooks.acting import (
    SEEDS,
    age,
    answering,
    cancel_a_job,
    deliveries_of,
    hurry,
    register,
    settled,
)
from tests.integration.webhooks.receivers import Receiver, receiving


def test_a_message_is_what_the_reference_library_accepts(
    http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver, note="CI")
    job = cancel_a_job(http)
    delivery = settled(http, hook, "delivered")
    (message,) = receiver.messages
    known = Webhook(hook["secret"]).verify(message.body, message.headers)
    assert known == {
        "type": "job.canceled",
        "timestamp": known["timestamp"],
        "data": {
            "id": job["id"],
            "kind": "craft",
            "status": "canceled",
            "content_key": job["content_key"],
            "url": job["urls"]["self"],
        },
    }
    assert message.headers["webhook-id"] == delivery["id"]
    assert len(message.body) < 1000
    with pytest.raises(WebhookVerificationError):
        Webhook(hook["secret"]).verify(message.body + b" ", message.headers)
    assert (delivery["attempts"], delivery["http_status"], delivery["error"]) == (1, 204, None)
    assert delivery["job_id"] == job["id"]


def test_a_webhook_is_told_what_it_asked_for(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver, events=["job.started", "job.failed"])
    spec = SPEC | {"craft": {"degree": 4, "seed": next(SEEDS)}}
    job = http.post("/v1/jobs", json={"spec": spec}).json()
    database = server.services.database
    for number in (1, 2):  # the second claim finds nothing
        with database.write() as session:
            now = database.now(session)
            jobs.claim(session, job["id"], f"worker {number}", timedelta(minutes=1), now)
    with database.write() as session:
        attempt = jobs.Attempt(job["id"], 1)
        error = {"code": "diverged", "title": "", "detail": ""}
        jobs.end(session, attempt, jobs.JobStatus.FAILED, error, database.now(session))
    cancel_a_job(http)
    eventually(lambda: len(receiver.messages) == 2)
    told = {json.loads(one.body)["type"] for one in receiver.messages}
    assert told == {"job.started", "job.failed"}
    assert len(deliveries_of(http, hook)) == 2
    assert len(deliveries_of(http, hook, status="failed")) == 0


def test_a_webhook_is_told_of_jobs_of_its_owner_only(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    others, mine = register(http, receiver), register(http, receiver)
    with server.services.database.write() as session:
        now = server.services.database.now(session)
        session.add(OwnerRow(id="owner_other", name="other", created_at=now))
        session.flush()
        row = session.get(WebhookRow, others["id"])
        assert row is not None
        row.owner_id = "owner_other"
    cancel_a_job(http)
    assert len(deliveries_of(http, mine)) == 1
    with server.services.database.write() as session:
        assert list(deliveries.page(session, others["id"], DeliveryQuery(), None, 10)) == []
        webhooks.remove(session, "local", others["id"])
        assert session.get(WebhookRow, others["id"]) is not None
        webhooks.remove(session, "owner_other", others["id"])
        assert session.get(WebhookRow, others["id"]) is None


def test_a_rolled_back_change_tells_nobody(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver)
    job = http.post("/v1/jobs", json={"spec": SPEC | {"craft": {"degree": 2}}}).json()
    database = server.services.database

    def cancel_and_fail() -> None:
        with database.write() as session:
            assert jobs.cancel(session, job["id"], database.now(session))
            raise NotFound("the transaction ends here")

    with pytest.raises(NotFound):
        cancel_and_fail()
    assert deliveries_of(http, hook) == []
    http.post(job["urls"]["cancel"])
    assert len(deliveries_of(http, hook)) == 1


def test_an_attempt_that_was_thought_dead_changes_nothing(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver)
    job = http.post("/v1/jobs", json={"spec": SPEC | {"craft": {"degree": 2}}}).json()
    database = server.services.database
    with database.write() as session:
        now = database.now(session)
        assert jobs.cancel(session, job["id"], now)
        session.flush()
        for attempt in (1, 2):  # the first one is held no longer, and somebody takes it up
            (taken,) = deliveries.take(session, hook["id"], 1, now, timedelta())
            assert taken.attempts == attempt
        session.flush()
        outcome = (DeliveryStatus.DELIVERED, now)
        assert not deliveries.record(session, taken.id, 1, *outcome)
        assert deliveries.record(session, taken.id, 2, *outcome)
        assert not deliveries.record(session, taken.id, 2, DeliveryStatus.FAILED, now)


@pytest.mark.parametrize("status", [302, 500])
def test_what_fails_is_tried_again_under_the_same_id(
    server: Server, http: httpx.Client, receiver: Receiver, status: int
) -> None:
    receiver.answer = answering(status)
    hook = register(http, receiver)
    cancel_a_job(http)
    first = eventually(
        lambda: next((one for one in deliveries_of(http, hook) if one["http_status"]), None)
    )
    assert (first["status"], first["error"]) == (
        "pending",
        f"the receiver answered {status}: no !",
    )
    assert http.get(f"/v1/webhooks/{hook['id']}").json()["failing_since"]
    receiver.answer = 200
    hurry(server, hook)
    assert settled(http, hook, "delivered")["attempts"] == 2
    view = http.get(f"/v1/webhooks/{hook['id']}").json()
    assert (view["failing_since"], view["pending"], view["enabled"]) == (None, 0, True)
    one, two = receiver.messages
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert one.body == two.body


def test_pauses_grow_fourfold_up_to_half_a_day_and_spread() -> None:
    pauses = [[courier.pause(n).total_seconds() for _ in range(50)] for n in range(1, 30)]
    for number, drawn in enumerate(pauses):
        middle = min(5 * 4**number, 12 * 3600)
        assert 0.8 * middle <= min(drawn) < max(drawn) <= 1.2 * middle
    assert courier.pause(10_000) < timedelta(days=1)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_for_all_that_waits(
    server: Server, http: httpx.Client, receiver: Receiver, status: int
) -> None:
    receiver.answer = answering(status, ("retry-after", "3600"))
    hook = register(http, receiver)
    cancel_a_job(http)
    eventually(lambda: deliveries_of(http, hook)[0]["http_status"] == status)
    cancel_a_job(http)
    hurry(server, hook)
    database = server.services.database
    with database.read() as session:
        now = database.now(session)
        due = [each.id for each in deliveries.webhooks_due(session, [], 100, now)]
        later = deliveries.webhooks_due(session, [], 100, now + timedelta(hours=1, minutes=1))
    assert hook["id"] not in due
    assert hook["id"] in [each.id for each in later]
    assert len(receiver.messages) == 1


def test_410_disables_until_somebody_enables_it(http: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = 410
    hook = register(http, receiver)
    cancel_a_job(http)
    delivery = settled(http, hook, "failed")
    url = f"/v1/webhooks/{hook['id']}"
    view = http.get(url).json()
    assert (view["enabled"], view["disabled_reason"]) == (False, "the receiver answered 410 Gone")
    cancel_a_job(http)
    assert len(deliveries_of(http, hook)) == 1
    again = f"{url}/deliveries/{delivery['id']}/redeliver"
    assert_problem(http.post(again), 409, "webhook-disabled")
    receiver.answer = 200
    assert http.post(f"{url}/enable").json()["enabled"]
    assert http.post(again).json()["status"] == "pending"
    assert settled(http, hook, "delivered")["id"] == delivery["id"]


def test_a_receiver_that_fails_for_days_is_disabled_and_says_so(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    receiver.answer = 500
    hook = register(http, receiver)
    cancel_a_job(http)
    eventually(lambda: deliveries_of(http, hook)[0]["attempts"] == 1)
    eventually(lambda: deliveries_of(http, hook)[0]["http_status"])
    age(server, hook, timedelta(days=3))
    cancel_a_job(http)
    eventually(lambda: all(one["http_status"] for one in deliveries_of(http, hook)))
    hurry(server, hook)
    view = eventually(
        lambda: None if (now := http.get(f"/v1/webhooks/{hook['id']}").json())["enabled"] else now
    )
    assert "nothing was delivered since" in view["disabled_reason"]
    assert "answered 500" in view["disabled_reason"]
    states = sorted(one["status"] for one in deliveries_of(http, hook))
    assert states == ["failed", "pending"]
    age(server, hook, timedelta(days=3))
    (waiting,) = deliveries_of(http, hook, status="pending")
    http.post(f"/v1/webhooks/{hook['id']}/enable")  # the days it waits count anew
    tries = waiting["attempts"] + 1
    (still,) = eventually(
        lambda: [
            one
            for one in deliveries_of(http, hook)
            if (one["id"], one["attempts"]) == (waiting["id"], tries)
            and one["attempted_at"] > waiting["attempted_at"]
        ]
    )
    assert still["status"] == "pending"
    receiver.answer = 204
    hurry(server, hook)
    settled(http, hook, "delivered")


def test_a_message_that_is_given_up_does_not_disable_who_takes_others(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    poison: list[str] = []

    def choosy(request: BaseHTTPRequestHandler) -> None:
        bad = request.headers["webhook-id"] in poison
        answering(422 if bad else 200)(request)

    receiver.answer = 422
    hook = register(http, receiver)
    cancel_a_job(http)
    eventually(lambda: deliveries_of(http, hook)[0]["http_status"] == 422)
    poison.append(deliveries_of(http, hook)[0]["id"])
    receiver.answer = choosy
    cancel_a_job(http)
    settled(http, hook, "delivered")
    age(server, hook, timedelta(days=4))
    hurry(server, hook)
    eventually(lambda: len(deliveries_of(http, hook, status="failed")) == 1)
    assert http.get(f"/v1/webhooks/{hook['id']}").json()["enabled"]


def test_a_slow_receiver_gets_few_at_a_time_and_delays_nobody(
    http: httpx.Client, receiver: Receiver
) -> None:
    let_go = threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        let_go.wait(60)
        answering(204)(request)

    with receiving() as sluggish:
        sluggish.answer = slow
        lame = register(http, sluggish)
        for _ in range(3 * courier.MOST_EACH):
            cancel_a_job(http)
        eventually(lambda: sluggish.at_once == courier.MOST_EACH)
        quick = register(http, receiver)
        for _ in range(10):
            cancel_a_job(http)
        eventually(lambda: len(deliveries_of(http, quick, status="delivered")) == 10)
        assert sluggish.most_at_once == courier.MOST_EACH
        assert len(deliveries_of(http, lame, status="delivered")) == 0
        let_go.set()
        eventually(lambda: len(deliveries_of(http, lame, status="delivered")) >= 22, 120)
        assert sluggish.most_at_once == courier.MOST_EACH


def test_who_failed_last_gets_one_at_a_time(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    receiver.answer = 500
    hook = register(http, receiver)
    for _ in range(6):
        cancel_a_job(http)
    eventually(lambda: all(one["http_status"] for one in deliveries_of(http, hook)))
    let_go = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        let_go.wait(60)
        answering(500)(request)

    receiver.answer, receiver.most_at_once = wait, 0
    hurry(server, hook)
    eventually(lambda: receiver.at_once == 1)
    cancel_a_job(http)
    assert receiver.most_at_once == 1
    let_go.set()
    eventually(lambda: all(one["attempts"] > 1 for one in deliveries_of(http, hook)[1:]))
    assert receiver.most_at_once == 1


def test_a_receiver_inside_is_refused_when_it_is_sent_to(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    """Whatever was allowed when it was registered."""
    hook = register(http, receiver)
    with server.services.database.write() as session:
        session.execute(
            update(WebhookRow)
            .where(WebhookRow.id == hook["id"])
            .values(url=f"https://10.0.0.1:{receiver.port}/")
        )
    cancel_a_job(http)
    failed = eventually(
        lambda: next((one for one in deliveries_of(http, hook) if one["error"]), None)
    )
    assert "not public" in failed["error"]
    assert not receiver.messages
