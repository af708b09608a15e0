"""Registering webhooks, their secrets, and the list of what was sent."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from service.store import deliveries
from service.store.webhook_tables import WebhookRow
from tests.integration.api.servers import Server, assert_problem
from tests.integration.stack import eventually
from tests.integration.webhooks.acting import cancel_a_job, deliveries_of, register, settled
from tests.integration.webhooks.receivers import Receiver


def test_the_secret_is_shown_once_and_never_again(http: httpx.Client, receiver: Receiver) -> None:
    hook = register(http, receiver)
    cancel_a_job(http)
    settled(http, hook, "delivered")
    url = f"/v1/webhooks/{hook['id']}"
    shown = [http.get(path).text for path in ("/v1/webhooks", url, f"{url}/deliveries")]
    assert not [text for text in shown if "whsec" in text or hook["secret"] in text]
    assert http.get(url).json()["url"] == f"{receiver.url}/hook"


def test_after_a_rotation_both_secrets_verify_for_a_day(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver)
    fresh = http.post(f"/v1/webhooks/{hook['id']}/rotate").json()
    assert fresh["secret"] != hook["secret"]
    cancel_a_job(http)
    settled(http, hook, "delivered")
    for secret in (hook["secret"], fresh["secret"]):
        Webhook(secret).verify(receiver.messages[0].body, receiver.messages[0].headers)
    with server.services.database.write() as session:
        row = session.get(WebhookRow, hook["id"])
        assert row is not None
        row.rotated_at -= timedelta(days=1, seconds=1)
    cancel_a_job(http)
    eventually(lambda: len(receiver.messages) == 2)
    Webhook(fresh["secret"]).verify(receiver.messages[1].body, receiver.messages[1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(hook["secret"]).verify(receiver.messages[1].body, receiver.messages[1].headers)


def test_what_is_removed_gets_nothing_more(http: httpx.Client, receiver: Receiver) -> None:
    receiver.answer = 500
    hook = register(http, receiver)
    cancel_a_job(http)
    eventually(lambda: receiver.messages)
    url = f"/v1/webhooks/{hook['id']}"
    assert [http.delete(url).status_code for _ in range(2)] == [204, 204]
    for method, path in (("GET", ""), ("POST", "/enable"), ("POST", "/rotate")):
        assert_problem(http.request(method, url + path), 404, "not-found")
    assert_problem(http.get(f"{url}/deliveries"), 404, "not-found")
    cancel_a_job(http)
    assert http.get("/v1/webhooks").json() == {"items": []}


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"url": "https://169.254.169.254/"}, "forbidden-address", "/url"),
        ({"url": "https://2130706433/"}, "invalid-input", "/url"),
        ({"url": "http://example.com/"}, "invalid-input", "/url"),
        ({"url": "https://a b"}, "invalid-input", "/url"),
        ({"url": "https://example.com", "events": ["job.paused"]}, "invalid-input", "/events/0"),
        ({"url": "https://example.com", "events": []}, "invalid-input", "/events"),
        ({"url": "https://example.com", "secret": "x"}, "invalid-input", "/secret"),
        ({"url": "https://example.com", "note": "a\0"}, "invalid-input", "/note"),
        ({}, "invalid-input", "/url"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    http: httpx.Client, body: dict[str, Any], code: str, pointer: str
) -> None:
    assert_problem(http.post("/v1/webhooks", json=body), 422, code, pointer)


def test_an_owner_has_a_hundred_at_most(http: httpx.Client) -> None:
    body = {"url": "https://example.com/"}
    made = [http.post("/v1/webhooks", json=body).status_code for _ in range(100)]
    assert {*made} == {201}
    assert_problem(http.post("/v1/webhooks", json=body), 422, "invalid-input")


def test_pages_of_deliveries_follow_each_other(http: httpx.Client, receiver: Receiver) -> None:
    hook = register(http, receiver)
    for _ in range(5):
        cancel_a_job(http)
    url = f"/v1/webhooks/{hook['id']}/deliveries"
    found, token = [], ""
    while True:
        page = http.get(url, params={"page_size": 2, "page_token": token}).json()
        found += [one["id"] for one in page["items"]]
        if not (token := page["next_page_token"]):
            break
    assert len({*found}) == len(found) == 5
    assert found == [one["id"] for one in deliveries_of(http, hook)]


def test_old_deliveries_are_forgotten_and_what_waits_is_not(
    server: Server, http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver)
    cancel_a_job(http)
    settled(http, hook, "delivered")
    receiver.answer = 500
    cancel_a_job(http)
    eventually(lambda: deliveries_of(http, hook)[0]["http_status"] == 500)
    database = server.services.database
    with database.write() as session:
        assert deliveries.forget(session, database.now(session) + timedelta(days=1), 500) >= 1
    (left,) = deliveries_of(http, hook)
    assert left["status"] == "pending"


def test_a_delivered_message_is_sent_again_on_request_under_its_id(
    http: httpx.Client, receiver: Receiver
) -> None:
    hook = register(http, receiver)
    cancel_a_job(http)
    delivery = settled(http, hook, "delivered")
    http.post(f"/v1/webhooks/{hook['id']}/deliveries/{delivery['id']}/redeliver")
    eventually(lambda: len(receiver.messages) == 2)
    assert len({one.headers["webhook-id"] for one in receiver.messages}) == 1
    assert settled(http, hook, "delivered")["attempts"] == 2
