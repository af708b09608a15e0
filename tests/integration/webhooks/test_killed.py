"""Messages while processes are killed for real: each arrives, under one id."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.integration.stack import Stack, eventually
from tests.integration.test_job_life import slow, small
from tests.integration.webhooks.receivers import Receiver


def register(stack: Stack, receiver: Receiver, **body: Any) -> dict[str, Any]:
    answer = stack.http.post("/v1/webhooks", json={"url": receiver.url, **body})
    made: dict[str, Any] = answer.json()
    return made


def test_a_server_killed_while_it_sends_sends_again(idle_stack: Stack, receiver: Receiver) -> None:
    stack, let_go = idle_stack, threading.Event()

    def hang(request: BaseHTTPRequestHandler) -> None:
        let_go.wait(60)
        request.close_connection = True

    receiver.answer = hang
    hook = register(stack, receiver)
    job = stack.submit(small()).json()
    stack.http.post(job["urls"]["cancel"])
    eventually(lambda: receiver.at_once == 1)
    stack.kill_api()
    receiver.answer = 204
    let_go.set()
    stack._start_api()
    eventually(lambda: len(receiver.messages) >= 2)
    url = f"/v1/webhooks/{hook['id']}/deliveries"
    (delivery,) = eventually(
        lambda: [one for one in stack.http.get(url).json()["items"] if one["status"] == "delivered"]
    )
    assert delivery["job_id"] == job["id"]
    assert {one.headers["webhook-id"] for one in receiver.messages} == {delivery["id"]}
    for message in receiver.messages:
        Webhook(hook["secret"]).verify(message.body, message.headers)
    stack.http.delete(f"/v1/webhooks/{hook['id']}")


def test_what_ends_while_no_server_runs_is_told_when_one_does(
    stack: Stack, receiver: Receiver
) -> None:
    hook = register(stack, receiver, events=["job.succeeded", "job.started"])
    job = stack.submit(slow(layers=12)).json()
    stack.wait(job["id"], "running")
    stack.restart_api(away=1)
    stack.wait(job["id"])
    told = eventually(
        lambda: found if len(found := {*map(data_of, receiver.messages)}) == 2 else None
    )
    assert told == {(job["id"], "job.started"), (job["id"], "job.succeeded")}
    again = stack.submit(small()).json()
    stack.wait(again["id"])
    eventually(lambda: (again["id"], "job.succeeded") in {*map(data_of, receiver.messages)})
    stack.http.delete(f"/v1/webhooks/{hook['id']}")


def data_of(message: Any) -> tuple[str, str]:
    known = json.loads(message.body)
    return known["data"]["id"], known["type"]
