"""A janitor and what it works with, without an API and without workers."""

import itertools
import json
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

import raiw
from service.contract.jobs import JobStatus
from service.contract.tasks import Queue
from service.jobs.janitor import Janitor
from service.jobs.queue import Broker as Client
from service.jobs.services import Services
from service.settings import Settings
from service.store import jobs, masks, new_jobs
from service.store.jobs import Attempt
from service.store.migrate import migrate
from service.store.repeats import RepeatRow
from service.store.requests import Packed
from service.store.tables import BlobRow, JobRow, OutboxRow, OwnerRow, ResultRow, UnitRow, UploadRow
from tests.integration.stack import Broker, Postgres, Sqlite

KEY = "raiw:raiw.cpu"
PATIENCE = 0.02
_numbers = itertools.count()


@contextmanager
def opened_bench(
    database: type[Sqlite] | type[Postgres], *owners: str, **changes: Any
) -> Iterator["Bench"]:
    """Run a database, with these owners, and a bench on it until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="raiw-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = database(folder)
        bench = Bench(folder, database_url=running.url, **changes)
        bench.add_owners(*owners)
        yield bench
        bench.close()
        running.stop()


class Bench:
    """A migrated database, a Valkey server, and janitors as wanted."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.broker = Broker(folder, tcp=False)
        self.settings = Settings(
            state_dir=folder,
            broker_url=self.broker.url,
            min_free_bytes=0,
            republish_seconds=PATIENCE,
            **changes,
        )
        migrate(self.settings)
        self.services = Services.open(self.settings)
        self.client = Client(self.settings)
        self.janitor = Janitor(self.services, self.client)

    def store_result(self, owner: str, request: Any) -> None:
        """Store what a worker would have made of a request."""
        crafted = raiw.craft(request.spec)
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            masks.add(
                session,
                self.services.artifacts,
                owner=owner,
                digest=crafted.digest,
                file=crafted.to_bytes(),
                document=crafted.to_json(),
                in_database_bytes=1 << 30,
                now=now,
            )
            key = request.document().content_key()
            made = {"content_key": key, "mask_digest": crafted.digest, "created_at": now}
            session.add(ResultRow(owner_id=owner, **made))

    def submit(
        self,
        number: int = 1,
        document: dict[str, Any] | None = None,
        queue: Queue = Queue.CPU,
        **columns: Any,
    ) -> list[str]:
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            packed = Packed.of(document or {})
            added = [
                JobRow(
                    id=f"job_{next(_numbers):06}",
                    kind="craft",
                    status=JobStatus.QUEUED,
                    content_key=str(next(_numbers)),
                    request=packed.digest,
                    algorithm="regular",
                    note={},
                    queue=queue,
                    timeout_seconds=1e6,
                    max_attempts=3,
                    total=1,
                    created_at=now,
                    run_after=now,
                    **columns,
                )
                for _ in range(number)
            ]
            for job in added:
                new_jobs.add(session, job, packed, now)
        return [job.id for job in added]

    def lose_worker(self, job_id: str) -> None:
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            assert jobs.claim(session, job_id, "worker", timedelta(seconds=-1), now)

    def clear(self) -> None:
        """Forget all jobs and messages."""
        with self.services.database.write() as session:
            for table in (RepeatRow, OutboxRow, UnitRow, JobRow, UploadRow, BlobRow):
                session.execute(delete(table))
        self.broker.flush()
        self.janitor = Janitor(self.services, self.client)

    def add_owners(self, *names: str) -> None:
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            session.add_all(OwnerRow(id=name, name=name, created_at=now) for name in names)

    def start(self, job_id: str) -> None:
        """Claim a job, as the worker does that has fetched its message."""
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            assert jobs.claim(session, job_id, "worker", timedelta(hours=1), now)

    def end(self, job_id: str) -> None:
        """End a job that was started."""
        database = self.services.database
        with database.write() as session:
            now = database.now(session)
            assert jobs.end(session, Attempt(job_id, 1), JobStatus.FAILED, None, now)

    def status(self, job_id: str) -> str:
        with self.services.database.read() as session:
            return session.scalars(select(JobRow.status).where(JobRow.id == job_id)).one()

    def owner(self, job_id: str) -> str:
        with self.services.database.read() as session:
            return session.get_one(JobRow, job_id).owner_id

    def held(self) -> int:
        return int(self.broker.client.llen(KEY))

    def fetch(self) -> str:
        """Take the next message, as a worker does."""
        message = json.loads(self.broker.client.rpop(KEY))
        (job_id,), *_ = json.loads(b64decode(message["body"]))
        return str(job_id)

    def recover(self) -> int:
        """Let the patience pass, recover and relay; return how many messages that made."""
        before = self.held()
        time.sleep(2 * PATIENCE)
        self.janitor.recover()
        self.janitor.relay()
        return self.held() - before

    def close(self) -> None:
        self.client.close()
        self.services.database.close()
        self.broker.stop()
