"""``raiw webhooks`` and the clients, against a real server."""

import asyncio
import json
from typing import Any

import pytest

import raiw
from raiw.cli.app import run
from raiw.errors import NotFound
from tests.integration.api.servers import SPEC, Server
from tests.integration.stack import eventually
from tests.integration.webhooks.receivers import receiving


def test_the_life_of_a_webhook_in_commands(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAIW_URL", server.url)

    def said(*arguments: str, status: int = 0) -> str:
        assert run(["webhooks", *arguments]) == status
        return capsys.readouterr().out

    with receiving() as receiver, raiw.Client(server.url) as client:
        made = json.loads(said("create", receiver.url, "--event", "job.canceled", "--json"))
        assert made["secret"].startswith("whsec_")
        hook = made["id"]
        client.craft(SPEC).cancel()
        eventually(lambda: receiver.messages)
        (delivery,) = eventually(
            lambda: json.loads(said("deliveries", hook, "--status", "delivered", "--json"))["items"]
        )
        assert said("redeliver", hook, delivery["id"], "-q") == f"{delivery['id']}\n"
        eventually(lambda: len(receiver.messages) == 2)
    assert said("ls", "-q") == f"{hook}\n"
    title, row = said("ls").splitlines()
    assert title.split("\t") == ["id", "state", "pending", "events", "url"]
    assert row.split("\t")[:2] == [hook, "ok"]
    assert "job.canceled" in said("deliveries", hook)
    assert said("rotate", hook, "-q").strip() != made["secret"]
    assert hook in said("enable", hook)
    said("create", "https://10.0.0.1/", status=2)
    said("rm", hook)
    said("enable", hook, status=5)
    assert said("ls", "-q") == ""


def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    async def use() -> dict[str, Any]:
        async with raiw.AsyncClient(server.url) as client:
            hooks = client.webhooks
            made = await hooks.create("https://example.com/", ["job.failed"], "a note")
            assert [one["id"] for one in await hooks.list()] == [made["id"]]
            assert (await hooks.rotate(made["id"]))["secret"] != made["secret"]
            assert (await hooks.enable(made["id"]))["enabled"]
            assert [one async for one in hooks.deliveries(made["id"])] == []
            with pytest.raises(NotFound):
                await hooks.redeliver(made["id"], "msg_none")
            view = await hooks.get(made["id"])
            await hooks.remove(made["id"])
            assert await hooks.list() == []
            return view

    view = asyncio.run(use())
    assert (view["events"], view["note"]) == (["job.failed"], "a note")
