"""Owners take turns: what a flood of one costs the others, counted in jobs that start before."""

import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, insert, select

from service.contract.access import LOCAL
from service.contract.jobs import Priority
from service.contract.tasks import Queue
from service.jobs.allotment import MOST, room
from service.jobs.janitor import Janitor
from service.store import jobs, joining, outbox, recovery, turns, units
from service.store.jobs import Attempt
from service.store.tables import JobRow, OutboxRow
from tests.integration.stack import Postgres, Sqlite
from tests.integration.workbench import Bench, opened_bench

OTHERS = ("ada", "ben", "cid", "dan", "eve")


@pytest.fixture(scope="module", params=[Sqlite, Postgres])
def opened(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened_bench(request.param, *OTHERS) as bench:
        yield bench


@pytest.fixture
def bench(opened: Bench) -> Bench:
    opened.clear()
    return opened


class Workers:
    """So many processes, each of which fetches a message when its job has ended.

    The janitor looks before so many starts: seldom, where it is slow and the jobs are short.
    """

    def __init__(self, bench: Bench, processes: int, starts_a_look: int = 1) -> None:
        self.bench = bench
        self.processes = processes
        self.starts_a_look = starts_a_look
        self.looks_in = 0
        self.running: deque[str] = deque()
        self.started: list[str] = []
        """The owners of the jobs that have started, in their order."""

    def work(self, starts: int = 1) -> None:
        """Go on until so many further jobs have started."""
        while starts:
            if len(self.running) == self.processes:
                self.bench.end(self.running.popleft())
            if not (self.looks_in and self.bench.held()):
                self.bench.janitor.relay()
                self.looks_in = self.starts_a_look
            if self.bench.held():
                starts -= 1
                self.looks_in -= 1
                job_id = self.bench.fetch()
                self.bench.start(job_id)
                self.running.append(job_id)
                self.started.append(self.bench.owner(job_id))


@pytest.mark.parametrize("starts_a_look", [1, 1000])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_flood_delays_others_by_one_start_on_each_process(
    bench: Bench, processes: int, starts_a_look: int
) -> None:
    """Besides those that run, however slow the janitor is."""
    workers = Workers(bench, processes, starts_a_look)
    bench.submit(60)
    workers.work(12 * processes)
    for _ in range(3):
        before = len(workers.started)
        bench.submit(1, owner_id="ada")
        workers.work(processes + 1)
        assert "ada" in workers.started[before:]
        workers.work(2)
    assert workers.started.count("ada") == 3


def test_all_who_wait_get_equal_shares_even_of_one_process(bench: Bench) -> None:
    """Whoever came first, however much he wants, and however many janitors there are."""
    for number, owner in enumerate(OTHERS):
        bench.submit(40 - 5 * number, owner_id=owner)
    workers = Workers(bench, 1)
    workers.work(20)
    assert set(Counter(workers.started).values()) == {4}
    bench.janitor = Janitor(bench.services, bench.client)  # knows nothing of whose turn it is
    workers.work(20)
    assert set(Counter(workers.started).values()) <= {7, 8, 9}


def test_long_jobs_count_for_as_long_as_they_run(bench: Bench) -> None:
    """Shares are of processes, not of starts."""
    bench.submit(20, owner_id="ada")
    workers = Workers(bench, 4)
    workers.work(4)
    bench.submit(20, owner_id="ben")
    workers.processes = 1
    while len(workers.running) > 1:  # three of hers run and run
        workers.running.popleft()
    workers.work(6)
    workers.started.clear()
    workers.work(12)
    assert workers.started.count("ben") >= 2 * workers.started.count("ada")


def test_a_helper_counts_to_the_owner_of_the_job_it_helps_with(bench: Bench) -> None:
    database, hour = bench.services.database, timedelta(hours=1)
    with database.write() as session:
        now = database.now(session)
        for unit in range(3):
            units.claim(session, f"unit {unit}", hour, now, "ada")
        units.claim(session, "its own", hour, now)
        units.claim(session, "given up", timedelta(0), now, "ada")
        units.finish(session, "unit 0", "sha256:a", now)
    bench.submit(4, owner_id="ada")
    bench.submit(4, owner_id="ben")
    with database.write() as session:
        now = database.now(session)
        assert turns.running(session, Queue.CPU, now) == {"ada": 2}
        assert not turns.running(session, Queue.GPU, now)
        taken = outbox.take(session, Queue.CPU, 6, now, hour)
    assert [message.owner_id for message in taken] == ["ben", "ben", "ada", "ben", "ada", "ben"]


def test_an_invitation_is_the_owners_and_of_the_priority_of_his_job(bench: Bench) -> None:
    (job_id,) = bench.submit(1, owner_id="ada", rank=Priority.LOW.rank)
    database = bench.services.database
    with database.write() as session:
        outbox.invite(session, job_id, 2, database.now(session))
        sent = select(OutboxRow.task, OutboxRow.owner_id, OutboxRow.rank).order_by(OutboxRow.id)
        assert [tuple(row) for row in session.execute(sent)] == [
            ("raiw.run_job", "ada", 2), ("raiw.assist_job", "ada", 2), ("raiw.assist_job", "ada", 2)
        ]  # fmt: skip


def test_priority_orders_ones_own_jobs_and_nobody_elses(bench: Bench) -> None:
    wanted = {
        priority: bench.submit(2, owner_id="ada", rank=priority.rank)
        for priority in (Priority.NORMAL, Priority.LOW, Priority.HIGH)
    }
    bens = bench.submit(6, owner_id="ben")
    fetched = []
    while len(fetched) < 12:
        bench.janitor.relay()
        fetched.append(bench.fetch())
        bench.start(fetched[-1])
    adas = [job_id for job_id in fetched if job_id not in bens]
    assert adas == wanted[Priority.HIGH] + wanted[Priority.NORMAL] + wanted[Priority.LOW]
    for places in (slice(n, n + 2) for n in range(0, 12, 2)):
        assert {bench.owner(job_id) for job_id in fetched[places]} == {"ada", "ben"}


def test_a_request_that_joins_lends_the_job_its_priority(bench: Bench) -> None:
    *_, last = bench.submit(3, rank=Priority.LOW.rank)
    database = bench.services.database
    for priority in (Priority.HIGH, Priority.NORMAL):
        with database.write() as session:
            now = database.now(session)
            joining.join(session, last, None, {}, None, priority.rank, now)
    bench.janitor.relay()
    assert bench.fetch() == last
    with database.read() as session:
        assert session.get_one(JobRow, last).rank == Priority.HIGH.rank
    bench.lose_worker(last)
    bench.janitor.sweep()  # a second attempt has no lower one
    with database.read() as session:
        assert session.scalar(select(OutboxRow.rank).where(OutboxRow.argument == last)) == 0


def test_a_job_that_is_put_back_keeps_its_place(bench: Bench) -> None:
    database, soon = bench.services.database, timedelta(seconds=1)
    urgent = bench.submit(1, rank=Priority.HIGH.rank)
    lost, given_back, forgotten, *later = [bench.submit()[0] for _ in range(5)]
    with database.write() as session:
        now = database.now(session)
        published = OutboxRow.argument.in_((lost, given_back, forgotten))
        sent = session.scalars(select(OutboxRow).where(published)).all()
        outbox.remove(session, sent, now)
    for job_id in (lost, given_back):
        bench.lose_worker(job_id)
    with database.write() as session:
        now = database.now(session)
        jobs.release(session, Attempt(given_back, 1), now)
        assert recovery.reap(session, now, timedelta(0)) == 1
        assert recovery.publish_again(session, [forgotten], now + soon, now) == 1
    for at_once in (10, 2):  # whole, and a page at a time
        with database.write() as session:
            due = database.now(session) + timedelta(hours=2)
            taken = outbox.take(session, Queue.CPU, at_once, due, timedelta(0))
        line = [*urgent, lost, given_back, forgotten, *later]
        assert [message.argument for message in taken] == line[:at_once]


def test_a_round_costs_the_same_whatever_waits(tmp_path: Path) -> None:
    """In steps of the database's machine, as SQLite counts them."""
    bench = Bench(tmp_path)
    bench.add_owners(*OTHERS)
    steps = [0]

    @event.listens_for(bench.services.database.engine, "connect")
    def _count(connection: sqlite3.Connection, _record: object) -> None:
        def step() -> None:
            steps[0] += 1

        connection.set_progress_handler(step, 100)

    bench.services.database.engine.dispose()
    costs = []
    for messages in (50, 5000):
        with bench.services.database.write() as session:
            now = bench.services.database.now(session)
            row = {"task": "raiw.run_job", "queue": Queue.CPU, "created_at": now}
            row |= {"argument": "job_0", "next_attempt_at": now}
            rows = [row | {"owner_id": owner} for owner in OTHERS for _ in range(messages)]
            session.execute(insert(OutboxRow), rows)
        before = steps[0]
        with bench.services.database.write() as session:
            taken = outbox.take(session, Queue.CPU, 10, now, timedelta(hours=1), "ben")
        costs.append(steps[0] - before)
        assert [message.owner_id for message in taken] == ["cid", "dan", "eve", "ada", "ben"] * 2
    bench.close()
    assert costs[1] <= 2 * costs[0] + 10


@given(*[st.integers(0, 300)] * 3)
def test_the_broker_holds_one_message_for_each_process(
    held: int, busy: int, processes: int
) -> None:
    """However quickly messages are fetched, and so that no process finds nothing there for long."""
    size = min(max(busy, processes, 1), MOST)
    places = room(held, busy, processes)
    assert 0 <= places <= max(0, size - held)
    assert places == size - held or held > size / 2


def test_everything_of_before_is_local(bench: Bench) -> None:
    bench.submit(1)
    with bench.services.database.read() as session:
        assert turns.waiting(session, Queue.CPU) == [LOCAL]
        assert turns.waiting(session, Queue.GPU) == []
