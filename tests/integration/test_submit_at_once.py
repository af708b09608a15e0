"""What is submitted without a thread: as ``submit`` does it, or not at all."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from raiw.errors import InvalidInput, RaiwError
from service.contract.queries import JobQuery
from service.contract.requests import REQUESTS
from service.jobs import queries, quotas
from service.jobs.services import Services
from service.jobs.submit import Submission, submit, submit_at_once
from service.store.tables import JobEventRow, JobRow, OutboxRow, RequestRow
from tests.integration.stack import Postgres, Sqlite
from tests.integration.workbench import Bench, opened_bench

CROWD = 12
OWN = ("id", "created_at", "urls", "request_id", "content_key", "name")


@pytest.fixture(scope="module", params=[Sqlite, Postgres])
def opened(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened_bench(request.param, "ada") as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench) -> Bench:
    opened.clear()
    quotas.change(opened.services, "ada", {"jobs": None, "daily_cells": None})
    return opened


@pytest.fixture
def ada(bench: Bench) -> Services:
    return bench.services.of("ada")


def job(seed: int, **more: Any) -> Any:
    layer = {"name": "fc", "kind": "linear", "in_features": 8, "out_features": 8}
    spec = {"layers": [layer], "craft": {"degree": 2, "seed": seed}}
    return REQUESTS["craft"].parse({"kind": "craft", "spec": spec, **more})


def ask(services: Services, request: Any) -> Submission:
    """Do what the route does."""
    return submit_at_once(services, request) or submit(services, request)


def rows(services: Services) -> dict[str, int]:
    with services.database.read() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (JobRow, JobEventRow, OutboxRow, RequestRow)
        }


@pytest.mark.parametrize(
    "more", [{}, {"priority": "high"}, {"metadata": {"commit": "abc"}}, {"timeout_seconds": 7}]
)
def test_a_new_job_is_what_submit_makes(ada: Services, more: dict[str, Any]) -> None:
    before = rows(ada)
    quick = submit_at_once(ada, job(1, **more))
    between = rows(ada)
    usual = submit(ada, job(2, **more))
    after = rows(ada)
    assert quick is not None
    assert (quick.outcome, usual.outcome) == ("created", "created")
    stored = queries.get_job(ada, quick.job.id)
    assert stored == quick.job
    one, other = (made.model_dump() for made in (stored, queries.get_job(ada, usual.job.id)))
    assert {name for name in one if one[name] != other[name]} <= {*OWN}
    assert {name: between[name] - before[name] for name in before} == {
        name: after[name] - between[name] for name in before
    }
    wanted = JobQuery(
        metadata=[f"{name}={value}" for name, value in more.get("metadata", {}).items()]
    )
    found = [item.id for item in queries.list_jobs(ada, wanted).items]
    assert {quick.job.id, usual.job.id} <= {*found}


def test_what_is_known_is_joined_or_found(bench: Bench, ada: Services) -> None:
    first = ask(ada, job(1))
    before = rows(ada)
    again = submit_at_once(ada, job(1))
    assert again is not None
    assert (again.outcome, again.job.id, again.job.joined) == ("joined", first.job.id, 1)
    assert {**rows(ada), "job_events": 0} == {**before, "job_events": 0}
    bench.store_result("ada", job(CROWD))  # which stays stored
    hit = submit_at_once(ada, job(CROWD))
    assert hit is not None
    assert (hit.outcome, hit.job.done) == ("hit", True)
    assert queries.get_job(ada, hit.job.id) == hit.job


def test_a_bucket_is_not_asked(ada: Services) -> None:
    settings = ada.settings.model_copy(update={"objects": "s3://masks"})
    far = replace(ada, settings=settings)
    assert submit_at_once(far, job(1)) is not None
    before = rows(ada)
    assert submit_at_once(far, job(1)) is None
    assert rows(ada) == before


def test_a_job_that_may_not_be_leaves_nothing(ada: Services) -> None:
    before = rows(ada)
    with pytest.raises(InvalidInput, match="has passed"):
        ask(ada, job(1, deadline_at="2020-01-01T00:00:00Z"))
    assert rows(ada) == before


@pytest.mark.parametrize("limit", [{"jobs": 5}, {"daily_cells": 5 * 64}])
def test_parallel_new_jobs_do_not_pass_a_quota_together(
    ada: Services, limit: dict[str, int]
) -> None:
    quotas.change(ada, "ada", limit)

    def one(seed: int) -> str:
        try:
            return ask(ada, job(seed)).outcome
        except RaiwError as error:
            return error.code

    with ThreadPoolExecutor(CROWD) as pool:
        found = Counter(pool.map(one, range(CROWD)))
    assert found == {"created": 5, "quota-reached": CROWD - 5}


def test_equal_requests_at_once_get_one_job(ada: Services) -> None:
    with ThreadPoolExecutor(CROWD) as pool:
        found = list(pool.map(lambda _: ask(ada, job(1)), range(CROWD)))
    assert Counter(one.outcome for one in found) == {"created": 1, "joined": CROWD - 1}
    assert len({one.job.id for one in found}) == 1
