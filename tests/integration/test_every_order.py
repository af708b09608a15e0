"""The life of a job under every order of events that workers, clients and a flaky broker make."""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import select

from service.contract.access import LOCAL
from service.contract.jobs import ENDED, JobStatus
from service.contract.tasks import Queue
from service.settings import Settings
from service.store import jobs, migrate, new_jobs, outbox, prior, recovery
from service.store.database import Database
from service.store.requests import Packed
from service.store.tables import JobEventRow, JobRow, MasksRow, OutboxRow, ResultRow

LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3


@cache
def migrated_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "raiw.sqlite"
        database = Database(Settings(database_url=f"sqlite:///{file}"))
        migrate.upgrade(database)
        database.close()
        return file.read_bytes()


class JobLife(RuleBasedStateMachine):
    """Workers are attempts that may act at any time, also long after they lost their lease."""

    claimed = Bundle("claimed")
    submitted = Bundle("submitted")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "raiw.sqlite"
        file.write_bytes(migrated_database())
        self.database = Database(Settings(database_url=f"sqlite:///{file}"))
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.ends: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.messages: list[str] = []
        with self.database.write() as session:
            session.add(
                MasksRow(
                    digest="sha256:m",
                    file_sha256="sha256:f",
                    size=1,
                    chunks=0,
                    document={},
                    created_at=self.now,
                )
            )

    def teardown(self) -> None:
        self.all_ends()
        self.database.close()
        self.folder.cleanup()

    @rule(target=submitted, key=st.sampled_from("abc"), patience=st.sampled_from([None, 30, 300]))
    def submit_only(self, key: str, patience: int | None) -> str:
        return self.submit(key, patience)

    def submit(self, key: str, patience: int | None) -> str:
        with self.database.write() as session:
            active = prior.of(session, LOCAL, key).active
            if active is not None:
                return active
            packed = Packed.of({})
            job = JobRow(
                id=jobs.new_job_id(),
                kind="craft",
                status=JobStatus.QUEUED,
                content_key=key,
                request=packed.digest,
                algorithm="regular",
                note={},
                queue="raiw.cpu",
                timeout_seconds=1e6,
                max_attempts=MOST_ATTEMPTS,
                total=1,
                created_at=self.now,
                run_after=self.now,
                deadline_at=patience and self.now + timedelta(seconds=patience),
            )
            new_jobs.add(session, job, packed, self.now)
            return job.id

    @rule()
    def relay(self) -> None:
        with self.database.write() as session:
            taken = outbox.take(session, Queue.CPU, 100, self.now, timedelta(seconds=15))
        with self.database.write() as session:
            outbox.remove(session, taken, self.now)
        self.messages += [message.argument for message in taken]

    @rule()
    def relay_dies_after_publishing(self) -> None:
        with self.database.write() as session:
            taken = outbox.take(session, Queue.CPU, 100, self.now, timedelta(seconds=15))
        self.messages += [message.argument for message in taken]

    @rule()
    def flush_broker(self) -> None:
        self.messages.clear()

    @rule(job_id=submitted)
    def a_worker_dies_before_it_claims(self, job_id: str) -> None:
        if job_id in self.messages:
            self.messages.remove(job_id)

    @rule(target=claimed, key=st.sampled_from("abc"))
    def submit_and_start(self, key: str) -> Any:
        return self.work(self.submit(key, None))

    @rule(target=claimed, job_id=submitted)
    def start(self, job_id: str) -> Any:
        return self.work(job_id)

    def work(self, job_id: str) -> Any:
        """A worker acts on a message, which may be old, doubled, or the one just published."""
        self.relay()
        if job_id not in self.messages:
            return multiple()
        with self.database.write() as session:
            job = jobs.claim(session, job_id, "worker", LEASE, self.now)
        if job is None:
            return multiple()
        assert job.deadline_at is None or job.deadline_at > self.now, (
            "what is too late never starts"
        )
        self.attempts[job.id] = job.attempt
        return jobs.Attempt(job.id, job.attempt)

    @rule(attempt=claimed, write=st.sampled_from(["renew", "succeed", "fail", "give up"]))
    def write(self, attempt: jobs.Attempt, write: str) -> None:
        """A worker writes, perhaps long after its job went to another: then nothing may change."""
        with self.database.write() as session:
            if write == "renew":
                won = jobs.renew(session, attempt, LEASE, self.now) is not None
            elif write == "succeed":
                won = jobs.succeed(session, attempt, "sha256:m", self.now)
            else:
                status = JobStatus.FAILED if write == "fail" else JobStatus.CANCELED
                won = jobs.end(session, attempt, status, None, self.now)
        assert not won or self.attempts[attempt.job_id] == attempt.number

    @rule(job_id=submitted)
    def cancel(self, job_id: str) -> None:
        with self.database.write() as session:
            jobs.cancel(session, job_id, self.now)

    @rule(seconds=st.sampled_from([1, 20, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        with self.database.write() as session:
            recovery.expire_queued(session, self.now)
            recovery.reap(session, self.now, timedelta(seconds=1))
            before = self.now - timedelta(seconds=30)
            published = recovery.published(session, Queue.CPU, before)
            lost = [job_id for job_id in published if job_id not in self.messages]
            recovery.publish_again(session, lost, before, self.now)

    @rule(target=claimed, attempt=claimed)
    def the_worker_falls_silent(self, attempt: jobs.Attempt) -> Any:
        """Its job goes to another worker, and it does not know."""
        self.time_passes(61)
        self.sweep()
        self.time_passes(20)
        return self.work(attempt.job_id)

    def all_ends(self) -> None:
        """Whatever happened, a working broker and worker end every job in bounded time."""
        for _ in range(3 * MOST_ATTEMPTS):
            self.time_passes(61)
            self.sweep()
            self.relay()
            for job_id in set(self.messages):
                with self.database.write() as session:
                    job = jobs.claim(session, job_id, "worker", LEASE, self.now)
                    if job is not None:
                        self.attempts[job_id] = job.attempt
                        attempt = jobs.Attempt(job.id, job.attempt)
                        assert jobs.succeed(session, attempt, "sha256:m", self.now)
            self.messages.clear()
        with self.database.read() as session:
            assert {job.status for job in session.scalars(select(JobRow))} <= ENDED

    @invariant()
    def laws(self) -> None:
        with self.database.read() as session:
            rows = session.scalars(select(JobRow)).all()
            events = session.scalars(select(JobEventRow).order_by(JobEventRow.seq)).all()
            unsent = {message.argument for message in session.scalars(select(OutboxRow))}
            results = {result.content_key for result in session.scalars(select(ResultRow))}
        for job in rows:
            ended = self.ends.setdefault(job.id, job.status) if job.status in ENDED else None
            assert ended in (None, job.status), "an ended job never changes"
            assert job.attempt <= job.max_attempts
            assert (job.lease_expires_at is not None) == (job.status in jobs.HELD)
            assert (job.mask_digest is not None) == (job.status == JobStatus.SUCCEEDED)
            assert job.status != JobStatus.SUCCEEDED or job.content_key in results
            assert (job.finished_at is not None) == (job.status in ENDED)
            own = [event for event in events if event.job_id == job.id]
            assert [event.seq for event in own] == list(range(1, job.events + 1))
            assert own[-1].data["status"] == job.status, "every change of state is an event"
            if job.status == JobStatus.QUEUED:
                assert job.id in unsent or job.published_at is not None
            if job.status in ENDED and job.attempt == 0:
                assert job.id not in unsent, "what was canceled in time is never published"
        active = [job.content_key for job in rows if job.status in ("queued", "running")]
        assert len(active) == len(set(active)), "equal requests share one job"


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=100, stateful_step_count=40)


def test_what_is_too_late_never_starts() -> None:
    """Though nobody has swept yet: the machine above finds this order of events only by chance."""
    life = JobLife()
    late = life.submit("a", 30)
    life.now += timedelta(seconds=30)
    assert life.work(late) == multiple()
    life.teardown()
