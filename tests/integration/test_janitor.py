"""The janitor with a real database and a real broker, its steps taken by hand or by its threads."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

import raiw
from raiw.errors import Unreachable
from service.contract.access import LOCAL
from service.contract.jobs import JobStatus
from service.contract.tasks import Queue
from service.jobs import allotment, janitor
from service.jobs.janitor import Janitor
from service.jobs.workers import every_standing
from service.store import duties, jobs, masks, outbox, recovery, requests
from service.store.tables import JobRow, RequestRow
from tests.integration.stack import Sqlite, eventually
from tests.integration.workbench import PATIENCE, Bench, opened_bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(allotment, "FEWEST", 10)  # as many as a test publishes
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as folder:
        opened = Bench(Path(folder), janitor_seconds=0.2)
        yield opened
        opened.close()


def test_steady_nudges_do_not_keep_a_lost_job_from_being_found(bench: Bench) -> None:
    (job_id,) = bench.submit()
    bench.janitor.start()
    try:
        for number in range(1000):  # far more often than the pace of the janitor
            bench.janitor.wake(Queue.CPU)
            time.sleep(0.02)
            if number == 25:
                bench.lose_worker(job_id)
            elif number > 25 and bench.status(job_id) == JobStatus.QUEUED:
                break
        assert bench.status(job_id) == JobStatus.QUEUED
    finally:
        bench.janitor.stop()


def test_a_broker_that_hangs_does_not_keep_a_lost_job_from_being_found(bench: Bench) -> None:
    lost, _ = bench.submit(2)
    os.kill(bench.broker.pid, signal.SIGSTOP)
    bench.janitor.start()
    try:
        time.sleep(0.5)
        bench.lose_worker(lost)
        eventually(lambda: bench.status(lost) == JobStatus.QUEUED)
        assert bench.janitor.broker_answers  # the relay still waits, and nobody waits for it
    finally:
        os.kill(bench.broker.pid, signal.SIGCONT)
        bench.janitor.stop()


def test_workers_may_renew_their_leases_once_the_database_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = bench.submit()
    bench.janitor.sweep()
    monkeypatch.setattr(janitor, "_ABSENCE_SECONDS", -1e9)
    bench.lose_worker(job_id)
    bench.janitor.sweep()
    assert bench.status(job_id) == JobStatus.RUNNING
    monkeypatch.setattr(janitor, "_ABSENCE_SECONDS", 1e9)
    monkeypatch.setattr(bench.janitor, "_patient_until", 0)
    bench.janitor.sweep()
    assert bench.status(job_id) == JobStatus.QUEUED


def test_the_broker_is_given_few_messages_in_the_order_of_the_jobs(bench: Bench) -> None:
    ids = bench.submit(25)
    bench.janitor.relay()
    bench.janitor.relay()
    assert bench.held() == allotment.FEWEST
    fetched = []
    while bench.held():
        fetched += [bench.fetch() for _ in range(bench.held())]
        bench.janitor.relay()
    assert fetched == ids


def test_a_full_queue_does_not_delay_messages_of_the_other() -> None:
    with opened_bench(Sqlite, janitor_seconds=3600) as bench:
        bench.submit(5)
        while bench.janitor.relay():
            pass
        bench.janitor.start()
        try:
            time.sleep(0.5)  # its first round is over, the next an hour away
            bench.submit(queue=Queue.GPU)
            bench.janitor.wake(Queue.CPU)
            bench.janitor.wake(Queue.GPU)
            assert eventually(lambda: bench.client.count(Queue.GPU) == 1, seconds=30)
        finally:
            bench.janitor.stop()


def test_what_the_broker_holds_is_not_published_again(bench: Bench) -> None:
    bench.submit(3)
    bench.janitor.relay()
    assert [bench.recover() for _ in range(3)] == [0, 0, 0]
    bench.broker.stop()
    bench.broker.start()  # with its data
    eventually(lambda: bench.client.count(Queue.CPU) == 3)
    assert bench.recover() == 0


def test_who_asks_the_workers_leaves_no_answer_for_who_counts_messages(bench: Bench) -> None:
    bench.submit(3)
    bench.janitor.relay()
    for _ in range(3):
        assert every_standing(bench.settings, timeout=0.1) == {}
        assert bench.client.count(Queue.CPU) == 3
        assert len(bench.client.holds(Queue.CPU)) == 3


def test_what_the_broker_has_lost_is_published_once_more(bench: Bench) -> None:
    bench.submit(3)
    bench.janitor.relay()
    bench.fetch()  # a worker fetched it, and died before it claimed the job
    assert bench.recover() == 1
    assert bench.recover() == 0
    bench.broker.flush()
    bench.submit(2)  # traffic goes on
    assert bench.recover() == 5
    assert bench.recover() == 0


def test_two_janitors_publish_what_is_lost_once(bench: Bench) -> None:
    bench.submit(3)
    bench.janitor.relay()
    bench.broker.flush()
    time.sleep(2 * PATIENCE)
    others = [Janitor(bench.services, bench.client) for _ in range(2)]
    for step in ("recover", "relay"):
        for other in others:
            getattr(other, step)()
    assert bench.held() == 3


def test_what_is_canceled_before_it_is_published_never_is(bench: Bench) -> None:
    kept, canceled = bench.submit(2)
    with bench.services.database.write() as session:
        jobs.cancel(session, canceled, bench.services.database.now(session))
    bench.janitor.relay()
    assert bench.client.holds(Queue.CPU) == {kept}


def test_a_broker_that_is_down_costs_no_message(bench: Bench) -> None:
    ids = bench.submit(3)
    bench.broker.stop()
    with pytest.raises(Unreachable):
        bench.janitor.relay()
    assert not bench.janitor.broker_answers
    bench.broker.start()
    eventually(lambda: not refused(bench.janitor.relay))
    assert bench.client.holds(Queue.CPU) == set(ids)
    assert bench.janitor.broker_answers


def refused(step: Any) -> bool:
    try:
        step()
    except Unreachable:
        return True
    return False


def test_one_of_many_servers_does_a_duty(bench: Bench) -> None:
    database = bench.services.database
    minute = timedelta(minutes=1)
    assert [duties.take(database, "test", minute) for _ in range(3)] == [True, False, False]
    assert duties.take(database, "soon", timedelta(0))
    assert duties.take(database, "soon", timedelta(0))


def test_a_request_is_kept_once_and_for_as_long_as_a_job_refers_to_it(bench: Bench) -> None:
    first, second = (bench.submit(1, {"layers": ["x"] * 1000})[0] for _ in range(2))
    database = bench.services.database
    for job_id, left in ((first, 1), (second, 0)):
        assert requests.read(database, job_id) == {"layers": ["x"] * 1000}
        with database.write() as session:
            now = database.now(session)
            jobs.cancel(session, job_id, now)
            assert recovery.forget(session, now + timedelta(seconds=1)) == 1
        with database.read() as session:
            assert session.scalar(select(func.count()).select_from(RequestRow)) == left


@pytest.mark.parametrize("number", [3, 12])
def test_more_than_a_transaction_takes_is_dealt_with(bench: Bench, monkeypatch, number) -> None:
    monkeypatch.setattr(recovery, "BATCH", 5)
    lost = bench.submit(number)
    for job_id in lost:
        bench.lose_worker(job_id)
    late = bench.submit(number)
    with bench.services.database.write() as session:
        past = bench.services.database.now(session) - timedelta(seconds=1)
        session.execute(update(JobRow).where(JobRow.id.in_(late)).values(deadline_at=past))
    while bench.janitor.sweep():
        pass
    assert {bench.status(job_id) for job_id in lost} == {JobStatus.QUEUED}
    assert {bench.status(job_id) for job_id in late} == {JobStatus.EXPIRED}


def test_what_was_claimed_or_told_meanwhile_is_not_published_again(bench: Bench) -> None:
    """Between the question to the broker and the new message others go on."""
    told, claimed = bench.submit(2)
    bench.janitor.relay()
    database = bench.services.database
    with database.write() as session:
        now = database.now(session)
        assert jobs.claim(session, claimed, "worker", timedelta(seconds=60), now)
    again = []
    for _ in range(2):
        with database.write() as session:
            now = database.now(session)
            lost = [told, claimed]
            again.append(recovery.publish_again(session, lost, now, now))
    assert again == [1, 0]


def test_statistics_whose_message_still_waits_are_not_asked_for_again(bench: Bench) -> None:
    database = bench.services.database
    crafted = raiw.craft("raiw/vgg16-d8")
    with database.write() as session:
        now = database.now(session)
        masks.add(
            session,
            bench.services.artifacts,
            owner=LOCAL,
            digest=crafted.digest,
            file=crafted.to_bytes(),
            document=crafted.to_json(),
            in_database_bytes=1 << 30,
            now=now,
        )
        assert masks.ask_to_measure(session, LOCAL, crafted.digest)
        outbox.measure(session, LOCAL, crafted.digest, now)
    later = now + timedelta(hours=1)
    asked = []
    for _ in range(2):
        with database.write() as session:
            asked.append(recovery.remeasure(session, later, timedelta(minutes=1), 3))
        bench.janitor.relay()  # now the broker has it, and a worker may lose it
    assert asked == [0, 1]
