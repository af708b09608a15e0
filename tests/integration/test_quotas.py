"""Quotas hold against any number of requests at once, and requests with a key are answered once."""

import itertools
import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import select, update

from raiw.canonical import digest_of
from raiw.errors import NotFound, RaiwError
from service.contract.errors import IdempotencyKeyReused, OverQuota, QuotaReached
from service.contract.masks import UploadRequest
from service.contract.requests import REQUESTS
from service.jobs import quotas, uploads
from service.jobs.cancel import cancel
from service.jobs.housekeeping import keep_house
from service.jobs.submit import submit
from service.store import repeats
from service.store.repeats import RepeatRow
from service.store.tables import JobRow
from tests.integration.stack import Postgres, Sqlite, Stack, eventually
from tests.integration.workbench import Bench, opened_bench

CROWD = 12
FILES = [save({"fc": np.full((4, 4), n, np.float32)}) for n in range(CROWD)]
SIZE = len(FILES[0])
_seeds = itertools.count()


@pytest.fixture(scope="module", params=[Sqlite, Postgres])
def opened(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened_bench(request.param, "ada", "ben", quota_jobs=5, quota_cells=100) as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench) -> Bench:
    opened.clear()
    for owner in ("ada", "ben"):
        quotas.change(
            opened.services, owner, dict.fromkeys(("jobs", "bytes", "cells", "daily_cells"))
        )
    return opened


def job(side: int = 8, **more: Any) -> Any:
    layer = {"name": "fc", "kind": "linear", "in_features": side, "out_features": side}
    spec = {"layers": [layer], "craft": {"degree": 2, "seed": next(_seeds)}}
    return REQUESTS["craft"].parse({"kind": "craft", "spec": spec, **more})


def outcomes(ask: Callable[[int], object]) -> Counter[str]:
    """Ask from many threads at once; return how often each answer, or error, came."""

    def one(number: int) -> str:
        try:
            ask(number)
        except RaiwError as error:
            return error.code
        return "ok"

    with ThreadPoolExecutor(CROWD) as pool:
        return Counter(pool.map(one, range(CROWD)))


def test_parallel_jobs_do_not_pass_the_quota_together(bench: Bench) -> None:
    ada = bench.services.of("ada")
    wanted = [job() for _ in range(CROWD)]
    found = outcomes(lambda number: submit(ada, wanted[number]))
    assert found == {"ok": 5, "quota-reached": CROWD - 5}
    submit(bench.services.of("ben"), job())  # whose own is not used


def test_what_is_under_way_counts_and_what_adds_nothing_does_not(bench: Bench) -> None:
    ada = bench.services.of("ada")
    wanted = [job() for _ in range(5)]
    mine = [submit(ada, one) for one in wanted]
    assert submit(ada, wanted[0]).outcome == "joined"
    done = job()
    bench.store_result("ada", done)
    assert submit(ada, done).outcome == "hit"
    with pytest.raises(QuotaReached, match="5 jobs are queued or running and 5 may be"):
        submit(ada, job())
    cancel(ada, mine[0].job.id, "", {})
    submit(ada, job())
    quotas.change(bench.services, "ada", {"jobs": 6})
    submit(ada, job())
    with pytest.raises(QuotaReached) as caught:
        submit(ada, job())
    assert (caught.value.details["value"], caught.value.details["limit"]) == (6, 6)
    quotas.change(bench.services, "ada", {"jobs": 0})
    submit(ada, job())


def test_a_job_of_too_many_cells_is_refused(bench: Bench) -> None:
    ada = bench.services.of("ada")
    submit(ada, job(10))
    with pytest.raises(OverQuota, match=r"121 cells .* may have 100"):
        submit(ada, job(11))
    quotas.change(bench.services, "ada", {"cells": 121})
    submit(ada, job(11))


def test_the_cells_of_a_day_are_limited_and_free_again_when_it_is_over(bench: Bench) -> None:
    quotas.change(bench.services, "ada", {"jobs": 0, "daily_cells": 250})
    ada, database = bench.services.of("ada"), bench.services.database
    wanted = [job(8) for _ in range(CROWD)]  # of 64 cells
    found = outcomes(lambda number: submit(ada, wanted[number]))
    assert found == {"ok": 3, "quota-reached": CROWD - 3}
    submit(bench.services.of("ben"), job(8))
    stored = job(8)
    bench.store_result("ada", stored)
    assert submit(ada, stored).outcome == "hit"  # nothing is crafted
    quotas.change(bench.services, "ada", {"cells": 0})
    with pytest.raises(OverQuota, match=r"256 cells .* may have 250"):
        submit(ada, job(16))
    with database.write() as session:  # the three were asked for one after another
        now = database.now(session)
        mine = select(JobRow.id).where(JobRow.owner_id == "ada", JobRow.cells > 0)
        ages = (timedelta(hours=23), timedelta(hours=5), timedelta(hours=1))
        for job_id, age in zip(session.scalars(mine).all(), ages, strict=True):
            when = update(JobRow).where(JobRow.id == job_id)
            session.execute(when.values(created_at=now - age, status="failed"))
    for side, hours in ((8, 1), (11, 1), (12, 19), (15, 23)):
        with pytest.raises(QuotaReached, match=r"last 24 hours have 192, and 250") as caught:
            submit(ada, job(side))
        left = caught.value.details["retry_after"]
        assert 0 <= 3600 * hours - left < 3600
        assert caught.value.details["value"] == 192 + side * side
    submit(ada, job(7))  # 241 together
    with database.write() as session:
        session.execute(update(JobRow).values(created_at=now - timedelta(hours=25)))
    submit(ada, job(15))


def test_parallel_uploads_do_not_pass_the_quota_together(bench: Bench) -> None:
    quotas.change(bench.services, "ada", {"bytes": 3 * SIZE + 1})
    ada = bench.services.of("ada")

    def begin(number: int) -> None:
        uploads.begin(ada, UploadRequest(digest=digest_of(FILES[number]), bytes=SIZE))

    assert outcomes(begin) == {"ok": 3, "over-quota": CROWD - 3}
    with bench.services.database.read() as session:
        announced = session.scalars(select(uploads.UploadRow)).all()
    for upload in announced:
        (file,) = [file for file in FILES if digest_of(file) == upload.digest]
        assert uploads.append(ada, upload.id, 0, [file]).complete  # what is begun may end
    quotas.change(bench.services, "ada", {"bytes": 5 * SIZE})  # a file counts once

    def put(number: int) -> None:
        uploads.put_blob(ada, digest_of(FILES[number]), SIZE, [FILES[number]])

    stored = {upload.digest for upload in announced}
    assert outcomes(put) == {"ok": 5, "over-quota": CROWD - 5}
    assert all(uploads.find_blob(ada, digest) for digest in stored)


def command(bench: Bench, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run ``raiw owners``; return its exit status and what it prints."""
    database = {"RAIW_DATABASE_URL": bench.settings.database_url}
    state = {"RAIW_STATE_DIR": str(bench.settings.state_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "raiw", "owners", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | database | state | settings,
    )
    return done.returncode, done.stdout


def test_the_command_lists_and_sets_quotas(bench: Bench) -> None:
    submit(bench.services.of("ada"), job())
    assert command(bench, "set", "ada", "--jobs", "7", "--bytes", "0", "--quiet") == (0, "")
    assert command(bench, "set", "ada", "--daily-cells", "900", "--quiet") == (0, "")
    status, printed = command(bench, "ls", "--json")
    assert status == 0
    items = {item["owner"]: item for item in json.loads(printed)["items"]}
    assert [*items] == ["ada", "ben", "local"]
    assert items["ada"]["jobs"] == 1
    assert items["ada"]["daily_cells"] == 64
    assert items["ada"]["allowed"] == {"jobs": 7, "bytes": 0, "cells": 0, "daily_cells": 900}
    assert command(bench, "set", "ada", "--jobs", "default")[0] == 0
    status, printed = command(bench, "ls", RAIW_QUOTA_JOBS="9")
    assert status == 0
    assert re.search(r"^ada\s+1\s+9\s", printed, re.MULTILINE)
    assert command(bench, "set", "nobody", "--jobs", "1")[0] == 5
    assert command(bench, "set", "ada", "--jobs", "-1")[0] == 2
    assert command(bench, "set", "ada")[0] == 2


def test_a_request_with_a_key_has_one_job_even_when_that_has_ended(bench: Bench) -> None:
    ada = bench.services.of("ada")
    wanted = job(metadata={"commit": "1"})
    first = submit(ada, wanted, "key")
    cancel(ada, first.job.id, "", {})
    again = submit(ada, wanted, '"key"')
    assert (again.job.id, again.job.status, again.replayed) == (first.job.id, "canceled", True)
    assert submit(ada, wanted).job.id != first.job.id
    assert submit(ada, wanted, "other").job.id != first.job.id
    with pytest.raises(IdempotencyKeyReused, match="'key'"):
        submit(ada, wanted.model_copy(update={"metadata": {"commit": "2"}}), "key")
    with pytest.raises(IdempotencyKeyReused):
        uploads.begin(ada, UploadRequest(digest=digest_of(b"x"), bytes=8), "key")
    assert not submit(bench.services.of("ben"), wanted, "key").replayed


def test_many_at_once_under_one_key_get_one_job(bench: Bench) -> None:
    ada, wanted = bench.services.of("ada"), job()
    made: set[str] = set()

    def ask(number: int) -> None:
        made.add(submit(ada, wanted, "crowd").job.id)
        if number % 3 == 0:  # so that joining it would not do
            cancel(ada, next(iter(made)), "", {})

    assert outcomes(ask) == {"ok": CROWD}
    assert len(made) == 1


def test_many_at_once_under_one_key_begin_one_upload(bench: Bench) -> None:
    wanted = UploadRequest(digest=digest_of(b"y"), bytes=8)
    made: set[str] = set()
    found = outcomes(lambda _: made.add(uploads.begin(bench.services, wanted, "crowd").id))
    assert (found, len(made)) == ({"ok": CROWD}, 1)
    uploads.abandon(bench.services, made.copy().pop())
    assert uploads.begin(bench.services, wanted, "crowd").id not in made  # that one is gone


def test_what_fails_leaves_the_key_free(bench: Bench) -> None:
    missing = job(importance=digest_of(b"nothing"))
    for _ in range(2):
        with pytest.raises(NotFound):
            submit(bench.services.of("ada"), missing, "failing")
    assert not submit(bench.services.of("ada"), job(), "failing").replayed


def test_keys_are_kept_for_a_day(bench: Bench) -> None:
    ada, wanted, database = bench.services.of("ada"), job(), bench.services.database
    first = submit(ada, wanted, "daily")
    for age, replayed in ((timedelta(hours=23), True), (timedelta(hours=25), False)):
        with database.write() as session:
            now = database.now(session)
            session.execute(update(RepeatRow).values(created_at=now - age))
        keep_house(bench.services)
        assert submit(ada, wanted, "daily").replayed is replayed
    with database.write() as session:
        assert repeats.forget(session, now + timedelta(hours=1), 1) == 1
    assert submit(ada, wanted, "daily").job.id == first.job.id  # it is joined, as ever


def test_a_crash_before_the_answer_does_not_make_a_second_job(idle_stack: Stack) -> None:
    spec = json.loads(job().model_dump_json())["spec"]
    host, port = idle_stack.url.removeprefix("http://").split(":")
    body = json.dumps({"spec": spec}).encode()
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: crash\r\nPrefer: wait=30\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    key = {"Idempotency-Key": "crash"}
    with socket.create_connection((host, int(port))) as link:
        link.sendall(head.encode() + body)
        listed = {"status": "queued", "page_size": 1}
        found = eventually(lambda: idle_stack.http.get("/v1/jobs", params=listed).json()["items"])
        idle_stack.restart_api()
        assert link.recv(1) == b""
    job_id = found[0]["id"]
    idle_stack.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    again = idle_stack.http.post("/v1/jobs", content=body, headers={**key, **JSON})
    assert (again.json()["id"], again.json()["status"]) == (job_id, "canceled")
    assert again.headers["idempotent-replayed"] == "true"
    other = json.dumps({"spec": spec, "metadata": {"a": "b"}}).encode()
    refused = idle_stack.http.post("/v1/jobs", content=other, headers={**key, **JSON})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    for bad in ("", 'a"b', "é".encode(), "x" * 256):
        headers = {"Idempotency-Key": bad, **JSON}
        assert idle_stack.http.post("/v1/jobs", content=body, headers=headers).status_code == 422


JSON = {"Content-Type": "application/json"}
