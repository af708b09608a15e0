"""``raiw.AsyncClient``: the names of ``raiw.Client``, against a real server, without threads."""

import asyncio
import inspect
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raiw
from raiw.canonical import digest_of_file
from raiw.client import AsyncJob, Job
from raiw.errors import InvalidSpec, JobCanceled, NotFound, StillRunning, Unreachable
from raiw.scores.importance import write_scores
from tests.integration.api.servers import SPEC, Server, store


def spec(seed: int) -> dict[str, Any]:
    return SPEC | {"craft": {"degree": 4, "seed": seed}}


def awaited(server: Server, use: Callable[[raiw.AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with raiw.AsyncClient(server.url, timeout=240) as client:
            return await use(client)

    return asyncio.run(main())


def test_it_has_the_same_names_and_parameters() -> None:
    view = {"id": "a", "status": "queued", "done": False, "result": None, "error": None}
    job = Job(None, None, view | {"progress": {"phase": "queued", "completed": 0, "total": 1}})
    client, own = raiw.Client("http://127.0.0.1:1"), raiw.AsyncClient("http://127.0.0.1:1")
    assert {*dir(raiw.AsyncClient)} >= {name for name in dir(client) if name[0] != "_"}
    for here, there in [(own, client), (AsyncJob(job), job)]:
        for name, method in inspect.getmembers(there, inspect.ismethod):
            if not name.startswith("_"):
                given = inspect.signature(getattr(here, name)).parameters
                assert [*given] in ([*inspect.signature(method).parameters], ["status", "wanted"])
    assert (AsyncJob(job).id, AsyncJob(job).status) == ("a", "queued")


def test_hundreds_of_calls_are_under_way_in_one_thread(server: Server) -> None:
    async def use(client: raiw.AsyncClient) -> list[AsyncJob]:
        asked = [asyncio.ensure_future(client.craft(spec(n), wait=2)) for n in range(100, 150)]
        jobs = await asyncio.gather(*asked)
        assert not [one.name for one in threading.enumerate() if one.name.startswith("asyncio")]
        return jobs

    jobs = awaited(server, use)
    assert len({job.id for job in jobs}) == 50
    assert {job.cache for job in jobs} == {"created"}


def test_what_is_asked_uploaded_listed_and_canceled(server: Server, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    big = {"layers": [{"name": "a", "kind": "linear", "in_features": 2048, "out_features": 2048}]}
    big["craft"] = {"degree": 8}
    path = tmp_path / "scores.safetensors"
    scores = {"a": rng.random((2048, 2048), np.float32)}  # above 8 MiB: it goes in parts
    write_scores(scores, raiw.Spec.parse(big), path)

    async def use(client: raiw.AsyncClient) -> None:
        assert (await client.health())["status"] == "ok"
        assert (await client.plan(SPEC))["edges"] == 256
        job = await client.craft(big, path, metadata={"run": "async"})
        assert job.view["importance"] == digest_of_file(path)
        [found] = [one async for one in client.jobs(metadata={"run": "async"})]
        assert found.id == job.id
        with pytest.raises(StillRunning):
            await job.wait(timeout=0)
        await job.cancel({"why": "a test"})
        events = [event async for event in job.events()]
        assert [event.data.get("status") for event in events] == ["queued", "canceled"]
        with pytest.raises(JobCanceled, match="why a test"):
            await job.result()
        assert (await job.refresh()).done
        with pytest.raises(NotFound):
            await client.job("job_none")
        with pytest.raises(InvalidSpec):
            await client.craft({"layers": []})
        names = [network["name"] async for network in client.networks()]
        assert "digits-cnn" in names

    awaited(server, use)


def test_masks_come_whole_to_memory_and_to_files(server: Server, tmp_path: Path) -> None:
    crafted, file = store(server.services)

    async def use(client: raiw.AsyncClient) -> None:
        assert (await client.masks(crafted.digest)).digest == crafted.digest
        await client.download(crafted.digest, tmp_path / "masks.safetensors")
        rows = [row["digest"] async for row in client.stored_masks(algorithm="regular")]
        assert crafted.digest in rows

    awaited(server, use)
    assert (tmp_path / "masks.safetensors").read_bytes() == file


def test_a_call_ends_when_its_task_does_and_the_client_goes_on(server: Server) -> None:
    async def use(client: raiw.AsyncClient) -> None:
        job = await client.craft(spec(200))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await job.wait()
        async for event in job.events():
            assert event.data["status"] == "queued"
            break
        assert (await client.job(job.id)).status == "queued"

    awaited(server, use)


def test_pauses_between_attempts_let_others_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def main() -> None:
        async with raiw.AsyncClient(url) as client:
            ticking = asyncio.ensure_future(tick())
            with pytest.raises(Unreachable):
                await client.plan(SPEC)
            ticking.cancel()

    asyncio.run(main())
    assert ticks > 10


def test_a_deadline_bounds_everything_that_is_awaited() -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while await reader.read(1):
                writer.write(b" ")
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        async with raiw.AsyncClient(url, deadline=0.5) as client:
            with pytest.raises((StillRunning, Unreachable)):
                await client.masks("sha256:" + 64 * "0")
        server.close()
        await asyncio.sleep(0.1)  # until the server's side has seen the end

    asyncio.run(main())
