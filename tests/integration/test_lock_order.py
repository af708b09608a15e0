"""On PostgreSQL, transactions that want the same rows wait for each other, never in a circle."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.contract.jobs import JobStatus
from service.contract.tasks import Queue
from service.jobs.services import Services
from service.settings import Settings
from service.store import jobs, new_jobs, outbox, recovery
from service.store.migrate import migrate
from service.store.requests import Packed
from service.store.tables import JobRow, OutboxRow
from tests.integration.stack import Postgres, eventually

HOLD = timedelta(seconds=60)
CROWD, ROUNDS = 40, 25


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with tempfile.TemporaryDirectory(prefix="raiw-") as folder:
        Path(folder).chmod(0o755)  # the server runs as a user of its own
        postgres = Postgres(Path(folder))
        settings = Settings(
            state_dir=Path(folder) / "state", database_url=postgres.url, min_free_bytes=0
        )
        migrate(settings)
        opened = Services.open(settings)
        yield opened
        opened.database.close()
        postgres.stop()


def submit(services: Services, count: int, **columns: object) -> list[str]:
    """Queue jobs; each has a message that waits for the broker."""
    with services.database.write() as session:
        now = services.database.now(session)
        packed = Packed.of({})
        added = [
            JobRow(
                id=jobs.new_job_id(), kind="craft", algorithm="regular", note={}, total=1,
                content_key=jobs.new_job_id(), request=packed.digest, queue=Queue.CPU,
                timeout_seconds=1e6, max_attempts=3, status=JobStatus.QUEUED, created_at=now,
                run_after=now, **columns,
            )
            for _ in range(count)
        ]  # fmt: skip
        for job in added:
            new_jobs.add(session, job, packed, now)
    return [job.id for job in added]


def take(services: Services) -> Sequence[OutboxRow]:
    """Take the messages that wait, as the janitor does before it publishes them."""
    with services.database.write() as session:
        return outbox.take(session, Queue.CPU, CROWD, services.database.now(session), HOLD)


def record(session: Session, services: Services, published: Sequence[OutboxRow]) -> None:
    outbox.remove(session, published, services.database.now(session))


def cancel(session: Session, services: Services, job_id: str) -> bool:
    return jobs.cancel(session, job_id, services.database.now(session))


def permuted(seed: int, names: list[str]) -> list[str]:
    order: list[str] = np.random.default_rng(seed).permutation(names).tolist()
    return order


def waiting(services: Services) -> int:
    with services.database.glance() as session:
        asleep = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(session.scalar(asleep) or 0)


def test_a_job_is_canceled_while_its_message_is_recorded(services: Services) -> None:
    """Both wait for the job; whoever is first, the other one has nothing that the first needs."""
    [job_id] = submit(services, 1)
    taken = take(services)

    def in_write(action: Callable[[Session], object]) -> None:
        with services.database.write() as session:
            action(session)

    with ThreadPoolExecutor() as pool:
        with services.database.write() as session:
            session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
            first = pool.submit(in_write, lambda session: cancel(session, services, job_id))
            eventually(lambda: waiting(services) == 1)
            second = pool.submit(in_write, lambda session: record(session, services, taken))
            eventually(lambda: waiting(services) == 2)
        first.result()
        second.result()
    with services.database.read() as session:
        job = session.get_one(JobRow, job_id)
        assert job.status == JobStatus.CANCELED


def test_all_that_writes_many_rows_at_once(services: Services) -> None:
    """Janitors publish, publish again, expire and reap the jobs that clients cancel."""

    def janitor(number: int, jobs_: list[str]) -> None:
        draw = np.random.default_rng(number)
        for _ in range(ROUNDS):
            step = draw.integers(4)
            taken = take(services) if step == 0 else []
            with services.database.write() as session:
                now = services.database.now(session)
                if step == 0:
                    record(session, services, taken)
                elif step == 1:
                    shuffled = permuted(number, jobs_)
                    recovery.publish_again(session, shuffled, now, now)
                elif step == 2:
                    recovery.expire_queued(session, now)
                else:
                    recovery.reap(session, now, timedelta(0))

    def client(number: int, jobs_: list[str]) -> None:
        for job_id in permuted(number, jobs_):
            with services.database.write() as session:
                cancel(session, services, job_id)
            time.sleep(0.001)

    for seed in range(3):
        with services.database.read() as session:
            soon = services.database.now(session) + timedelta(seconds=0.2)
        queued = [*submit(services, CROWD), *submit(services, CROWD, deadline_at=soon)]
        with ThreadPoolExecutor(5) as pool:
            running = [pool.submit(janitor, 10 * seed + one, queued) for one in range(3)]
            running += [pool.submit(client, seed + one, queued) for one in range(2)]
            for one in running:
                one.result()
        with services.database.read() as session:
            left = session.scalars(
                select(JobRow.id).where(JobRow.id.in_(queued), JobRow.status == JobStatus.QUEUED)
            ).all()
        assert not left
