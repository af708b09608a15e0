"""Jobs that a job needs: its worker asks for them, does those that wait, and waits for the others.

They are jobs like any others, named by their content: equal ones are done once, by any worker. So a
job that is taken over by another worker finds what was done for it, and a worker alone is enough.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from raiw.jobs.document import JobDocument
from raiw.jobs.registry import find_kind
from service.contract.jobs import ENDED, JobStatus
from service.contract.requests import REQUESTS
from service.jobs.services import Services
from service.jobs.submit import submit
from service.jobs.uploads import verified_upload
from service.store import jobs, notes
from service.store.tables import JobRow
from worker.lease import Lease
from worker.pool import PoolProcess
from worker.stops import Canceled, TimedOut
from worker.storing import record
from worker.supervising import Recorder
from worker.tasks.task import standing

_WAIT_SECONDS = 0.25
"""Pause before looking again at jobs that other workers do."""

RunJob = Callable[[PoolProcess, str, Callable[[], None]], None]
"""Runs a queued job, asking a guard whether it must stop; does nothing if it is not queued."""


@dataclass
class Needs:
    """What one job needs of others, and how those that ended did."""

    process: PoolProcess
    job: JobRow
    lease: Lease
    recorder: Recorder
    run_job: RunJob
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By content key, as :class:`worker.tasks.task.ChildTask` reads them."""

    @property
    def services(self) -> Services:
        """Database, artifacts and settings."""
        return self.process.services

    def answer(self, needed: Sequence[Mapping[str, Any]], files: Mapping[str, Path]) -> None:
        """Return once all jobs of these documents have ended.

        Raises
        ------
        Stopped
            The job that needs them must stop. If nobody wants its result any more, those that were
            asked for by it alone are canceled.
        """
        self._store(files)
        waiting: dict[str, str] = {}
        documents = {_key(document): document for document in needed}
        try:
            for key, document in documents.items():
                self.lease.check()
                waiting[key] = self._asked(document)
            while waiting:
                self._look(waiting, documents)
        except (Canceled, TimedOut):
            self._withdraw([*waiting.values()])
            raise

    def _look(self, waiting: dict[str, str], documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Note which jobs have ended; then do one that waits, or wait for those that run."""
        self.lease.check()
        with self.services.database.read() as session:
            found = jobs.standings(session, [*waiting.values()])
        ended = [key for key, job_id in waiting.items() if _over(found.get(job_id))]
        for key in ended:
            self._note(key, waiting.pop(key))
        for key in [key for key, job_id in waiting.items() if job_id not in found]:
            waiting[key] = self._asked(documents[key])  # it was removed meanwhile
        queued = (
            job_id
            for job_id in waiting.values()
            if job_id in found and found[job_id].status == JobStatus.QUEUED
        )
        if (job_id := next(queued, None)) is not None:
            self.run_job(self.process, job_id, self.lease.check)
        if waiting and not ended:
            time.sleep(_WAIT_SECONDS)

    def _asked(self, document: Mapping[str, Any]) -> str:
        body = {**document, "metadata": {self.job.kind: self.job.id}}
        body["timeout_seconds"] = self.job.timeout_seconds
        request = REQUESTS[document["kind"]].parse(body)
        return submit(self.services, request).job.id

    def _note(self, key: str, job_id: str) -> None:
        with self.services.database.read() as session:
            row = jobs.find(session, job_id)
        if row is None:
            return
        if row.outcome is not None:
            paths = {
                file["name"]: str(verified_upload(self.services, file["digest"]))
                for file in row.outcome["files"]
            }
            self.answers[key] = {"report": row.outcome["report"], "files": paths}
        elif row.status == JobStatus.SUCCEEDED:  # masks, which are stored under their digest
            self.answers[key] = {"report": {"digest": row.mask_digest}}
        else:
            problem = row.error or {"code": row.status, "detail": f"job {row.id} was {row.status}"}
            self.answers[key] = {"report": None, "problem": problem}
        done = min(len(self.answers), self.job.total)
        phase = find_kind(self.job.kind).phase
        step = f"{done} of {self.job.total} {find_kind(self.job.kind).steps}"
        self.recorder("progress", standing(phase, done, self.job.total, step=step))

    def _store(self, files: Mapping[str, Path]) -> None:
        """Make files that the job has made ones that others can name, as uploads are."""
        for path in files.values():
            digest = self.services.artifacts.take(path)

            def write(
                session: Session, now: datetime, digest: str = digest, path: Path = path
            ) -> None:
                record(self.services, session, digest, path, now)

            self.recorder.write(write)

    def _withdraw(self, job_ids: Iterable[str]) -> None:
        """Cancel jobs that nobody else has asked for."""
        mine = {self.job.kind: self.job.id}
        for job_id in job_ids:
            with self.services.database.write() as session:
                row = jobs.find(session, job_id)
                joined = notes.of_others(session, job_id)
                if row is not None and [row.note, *joined] == [mine] * (1 + row.joined):
                    now = self.services.database.now(session)
                    jobs.cancel(session, job_id, now, {"metadata": mine})


def _key(document: Mapping[str, Any]) -> str:
    kind: type[JobDocument] = find_kind(document["kind"]).document
    return kind.parse(dict(document)).content_key()


def _over(found: jobs.Standing | None) -> bool:
    return found is not None and found.status in ENDED
