"""Limits on requests, by key; what clients of any kind make of them."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import pytest

import raiw
from raiw.canonical import digest_of_hex
from raiw.errors import InvalidInput, Unreachable
from service.contract.access import Scope
from service.settings import load_settings
from tests.integration.api.owners import calling, make_key
from tests.integration.api.servers import SPEC, assert_problem
from tests.integration.stack import Broker

RATES = {"require_keys": True, "rate_reads": "4 per 1 hour", "rate_writes": "2 per 1 hour"}
UPLOAD = {"digest": digest_of_hex("4" * 64), "bytes": 1000}


@pytest.fixture(scope="module")
def limited(start):
    return start(**RATES)


def left(answer: httpx.Response) -> tuple[str, str]:
    """Return the limit that an answer names, and how much of it is left."""
    name, remaining, _ = answer.headers["ratelimit"].split(";")
    return name.strip('"'), remaining


def test_reads_and_writes_are_counted_apart_and_by_key(limited) -> None:
    one, other = (make_key(limited, "ada") for _ in range(2))
    with calling(limited, one.key) as http:
        reads = [http.get("/v1/jobs") for _ in range(4)]
        assert [left(answer) for answer in reads] == [("reads", f"r={n}") for n in (3, 2, 1, 0)]
        assert reads[0].headers["ratelimit-policy"] == '"reads";q=4;w=3600'
        # Some routes ask about their caller before they read a body, which counts once too.
        writes = [http.post("/v1/uploads", json=UPLOAD) for _ in range(2)]
        assert [left(answer) for answer in writes] == [("writes", "r=1"), ("writes", "r=0")]
        for refused in (http.get("/v1/masks"), http.post("/v1/jobs", json={"spec": SPEC})):
            problem = assert_problem(refused, 429, "rate-limited")
            assert problem["retryable"]
            assert 1 <= int(refused.headers["retry-after"]) <= 3600
            assert problem["details"]["retry_after"] == int(refused.headers["retry-after"])
        assert http.post("/v1/plan", json={"spec": SPEC}).status_code == 429  # it changes nothing
        page = http.get("/", headers={"Accept": "text/html"})
        assert (page.status_code, "retry-after" in page.headers) == (429, True)
        assert http.get("/livez").status_code == 200
    with calling(limited, other.key) as http:
        assert http.get("/v1/jobs").status_code == 200
        assert left(http.get("/", headers={"Accept": "text/html"})) == ("reads", "r=2")


def test_what_a_key_may_not_do_is_not_counted(limited) -> None:
    made = make_key(limited, "ada", Scope.JOBS_READ)
    with calling(limited, made.key) as http:
        for _ in range(5):
            assert http.post("/v1/jobs", json={"spec": SPEC}).status_code == 403
        assert left(http.get("/v1/jobs")) == ("reads", "r=3")


def test_who_needs_no_key_is_not_counted(start) -> None:
    server = start(rate_reads="1 per 1 hour", rate_writes="1 per 1 hour")
    with calling(server, None) as http:
        answers = [http.get("/v1/jobs") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert "ratelimit" not in answers[0].headers


def test_empty_rates_set_no_limit(start) -> None:
    server = start(require_keys=True, rate_reads="", rate_writes="2 per 1 hour")
    with calling(server, make_key(server, "ada").key) as http:
        assert "ratelimit" not in http.get("/v1/jobs").headers
        assert left(http.post("/v1/uploads", json=UPLOAD)) == ("writes", "r=1")


def test_servers_that_share_a_redis_count_together_and_pass_all_without_it(start) -> None:
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        broker = Broker(Path(folder), tcp=True)
        shared = {"rate_url": broker.url, "key_secret": "s" * 32}
        first = start(**RATES, **shared)
        database = first.services.settings.database
        servers = [first, start(**RATES, **shared, database_url=database)]
        key = make_key(first, "ada")
        statuses: Counter[int] = Counter()
        for turn in range(8):
            with calling(servers[turn % 2], key.key) as http:
                statuses[http.get("/v1/jobs").status_code] += 1
        assert statuses == {200: 4, 429: 4}
        broker.stop()
        with calling(servers[0], key.key) as http:
            assert [http.get("/v1/jobs").status_code for _ in range(2)] == [200, 200]


def test_clients_go_on_when_they_may_within_their_time(start) -> None:
    """One request in a second and a half, and each of them asks three times."""
    server = start(require_keys=True, rate_reads="1 per 2 seconds")
    keys = [make_key(server, "ada").key for _ in range(3)]
    with raiw.Client(server.url, keys[0]) as client:
        for _ in range(3):
            assert client.plan(SPEC)["edges"] == 256

    async def ask() -> None:
        async with raiw.AsyncClient(server.url, keys[1]) as client:
            for _ in range(2):
                assert (await client.plan(SPEC))["edges"] == 256

    asyncio.run(ask())
    with raiw.Client(server.url, keys[2], deadline=0.9) as client:
        client.plan(SPEC)
        with pytest.raises(Unreachable, match="reads"):
            client.plan(SPEC)


@pytest.mark.parametrize("rate", ["10", "ten per second", "1 per fortnight", "-1/second"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(InvalidInput, match=r"RAIW_RATE_READS.* such as 1000 per 10 seconds"):
        load_settings(rate_reads=rate)
