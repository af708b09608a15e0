"""Lists and waits cost the same whatever the jobs ask for, and however many clients wait."""

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import event

from raiw.specs.spec import Spec
from service.jobs.queries import PAGE_BYTES
from service.store import jobs
from tests.integration.api.servers import Server
from tests.integration.stack import eventually

CLIENTS = 40
LARGE = 3000


def spec(name: str, layers: int = 1) -> dict:
    return {
        "name": name,
        "layers": [
            {"name": f"{name}.{i}", "kind": "linear", "in_features": 4, "out_features": 4}
            for i in range(layers)
        ],
        "craft": {"degree": 1},
    }


@contextmanager
def statements(server: Server) -> Iterator[list[str]]:
    """Gather the statements that the server's database is asked to carry out."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_):
        seen.append(statement)

    event.listen(server.services.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(server.services.database.engine, "before_cursor_execute", note)


def test_a_job_shows_its_request_and_a_list_does_not(http):
    asked = spec("shown", LARGE)
    job = http.post("/v1/jobs", json={"spec": asked}).json()
    assert (
        http.get(job["urls"]["self"]).json()["spec"] == job["spec"] == Spec.parse(asked).canonical()
    )
    (item,) = http.get("/v1/jobs", params={"page_size": 1}).json()["items"]
    assert item == {name: job[name] for name in job.keys() - {"spec", "task"}}
    assert item["name"] == "shown"


def test_a_name_of_any_letters_is_listed(http):
    odd = "line\nbreak \x1b[31m nul \x00 \u202e"
    assert http.post("/v1/jobs", json={"spec": spec("odd") | {"name": odd}}).status_code == 202
    (item,) = http.get("/v1/jobs", params={"page_size": 1}).json()["items"]
    assert item["name"].isprintable()
    assert len(item["name"]) == len(odd)


def test_pages_are_bounded_by_bytes_and_miss_nothing(http):
    notes = {f"{n:02}": "x" * 512 for n in range(16)}
    ids = []
    for number in range(150):
        body = {"spec": spec(f"noted-{number}"), "metadata": notes}
        ids.append(http.post("/v1/jobs", json=body).json()["id"])
    found, token, pages = [], "", 0
    while len(found) < len(ids):
        page = http.get("/v1/jobs", params={"page_size": 200, "page_token": token})
        assert len(page.content) < 1.1 * PAGE_BYTES
        found += [item["id"] for item in page.json()["items"]]
        token, pages = page.json()["next_page_token"], pages + 1
    assert found[: len(ids)] == ids[::-1]
    assert pages > 1


def test_events_are_bounded_by_bytes_and_miss_nothing(server, http):
    job = http.post("/v1/jobs", json={"spec": spec("events")}).json()
    database = server.services.database
    with database.write() as session:
        for _ in range(7):
            data = {"message": "x" * (PAGE_BYTES // 3)}
            jobs.add_event(session, job["id"], "log", data, database.now(session))
    url, after, pages = job["urls"]["events"], 0, []
    while True:
        page = http.get(url, params={"after": after}).json()
        pages.append([item["seq"] for item in page["items"]])
        if not page["next_page_token"]:
            break
        after = page["next_page_token"]
    assert [seq for page in pages for seq in page] == list(range(1, 9))
    assert len(pages) > 2
    http.post(job["urls"]["cancel"])
    with http.stream("GET", url, headers={"Accept": "text/event-stream"}) as stream:
        seen = [line for line in stream.iter_lines() if line.startswith("id: ")]
    assert seen == [f"id: {n}" for n in range(1, 10)]


@pytest.mark.parametrize("how", ["poll", "stream"])
def test_many_clients_that_wait_for_a_job_ask_the_database_like_one(server, how):
    with httpx.Client(base_url=server.url, timeout=40) as http:
        job = http.post("/v1/jobs", json={"spec": spec(f"many-{how}")}).json()
        waiting = threading.Semaphore(0)

        def wait(_number: int) -> str:
            if how == "poll":
                waiting.release()
                answer = httpx.get(
                    server.url + job["urls"]["self"], headers={"Prefer": "wait=30"}, timeout=40
                )
                return answer.json()["status"]
            headers = {"Accept": "text/event-stream"}
            url = server.url + job["urls"]["events"]
            with httpx.stream("GET", url, headers=headers, timeout=40) as stream:
                waiting.release()
                return next(line for line in stream.iter_lines() if "canceled" in line)

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = pool.map(wait, range(CLIENTS))
            for _ in range(CLIENTS):
                waiting.acquire()
            looks = server.app.state.watcher.looks
            with statements(server) as seen:
                # Enough looks for each client to have asked many times, were it to ask by itself.
                eventually(lambda: server.app.state.watcher.looks > looks + 10)
                http.post(job["urls"]["cancel"])
                assert all("canceled" in answer for answer in answers)
    assert sum(text.startswith("SELECT") for text in seen) < 5 * CLIENTS


def test_a_client_that_waits_for_its_large_job_keeps_nothing_of_it(server):
    def ask(number: int) -> str:
        body = {"spec": spec(f"large-{number}", LARGE)}
        headers = {"Prefer": "wait=30"}
        return httpx.post(f"{server.url}/v1/jobs", json=body, headers=headers, timeout=40).json()

    def held() -> int:
        gc.collect()
        return sum(
            type(thing) is Spec and thing.name.startswith("large-") for thing in gc.get_objects()
        )

    with ThreadPoolExecutor(4) as pool, httpx.Client(base_url=server.url) as http:
        answers = pool.map(ask, range(4))
        query = {"page_size": 4}
        created = eventually(
            lambda: (
                found
                if len(found := large(http.get("/v1/jobs", params=query).json()["items"])) == 4
                else None
            )
        )
        eventually(lambda: held() == 0)
        for job in created:
            http.post(job["urls"]["cancel"])
        for job in answers:
            assert job["status"] == "canceled"
            assert len(job["spec"]["layers"]) == LARGE


def large(items: list[dict]) -> list[dict]:
    return [item for item in items if item["name"].startswith("large-")]
