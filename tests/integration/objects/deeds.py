"""What users, workers and bad disks do to what is stored."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import select, update

import raiw
from raiw.canonical import digest_of
from service.contract.jobs import JobView
from service.contract.requests import REQUESTS
from service.jobs.keeping import Kind
from service.jobs.queries import get_job
from service.jobs.scrub import ScrubReport, scrub
from service.jobs.services import Services
from service.jobs.submit import submit
from service.jobs.uploads import put_blob
from service.store.files.bucket import Bucket
from service.store.tables import UnitRow
from tests.integration.pools import pool
from worker.runner import run_job

SIDE = 64
SPEC = {
    "layers": [
        {"name": f"fc{i}", "kind": "linear", "in_features": SIDE, "out_features": SIDE}
        for i in range(3)
    ],
    "craft": {"degree": 4},
}
CRAFTED = raiw.craft(SPEC)
HOUR = 3600.0

Open = Callable[..., Services]
EVERYWHERE = pytest.mark.parametrize("objects", ["folder", "s3"], indirect=True)
"""For what does not depend on where objects lie."""


def data(number: int) -> bytes:
    """A score file."""
    return save({f"fc{i}": np.full((SIDE, SIDE), number, np.float32) for i in range(3)})


def put(services: Services, number: int) -> str:
    digest = digest_of(data(number))
    put_blob(services, digest, len(data(number)), [data(number)])
    return digest


def ask(services: Services, **body: Any) -> tuple[str, str]:
    submission = submit(services, REQUESTS["craft"].model_validate({"spec": SPEC, **body}))
    return submission.job.id, submission.outcome


def crafted(services: Services, **body: Any) -> JobView:
    job_id, _ = ask(services, **body)
    run_job(pool(services), job_id)
    return get_job(services, job_id)


def unused(services: Services, kind: Kind, digest: str, seconds: float = 2 * HOUR) -> None:
    """Let an object rest for so long."""
    with services.database.write() as session:
        before = services.database.now(session) - timedelta(seconds=seconds)
        rows = update(kind.table).where(kind.table.digest == digest)
        session.execute(rows.values(used_at=before))


def is_there(services: Services, kind: Kind, digest: str) -> bool:
    with services.database.read() as session:
        return kind.find(session, services.artifacts, services.owner, digest) is not None


def spoil(services: Services, digest: str) -> None:
    """Change the last byte of a stored file, behind the back of whoever keeps it."""
    path = services.artifacts.path(digest)
    if services.settings.objects:
        key = path.relative_to(services.settings.artifacts).as_posix()
        bucket = Bucket(services.settings.objects)
        data = bucket.get(key, 0, bucket.head(key).size)[:-1] + b"!"
        bucket.put(key, len(data), [data])
        path.unlink(missing_ok=True)  # what this host still has would do
        return
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def unit_files(services: Services) -> list[str]:
    with services.database.read() as session:
        return [name for name in session.scalars(select(UnitRow.artifact)) if name]


def scrubbed(services: Services, *, dry_run: bool = False) -> ScrubReport:
    """Scrub in a process that has read nothing yet."""
    fresh = Services.open(services.settings)
    report = scrub(fresh, dry_run=dry_run, on_progress=lambda number, name: None)
    fresh.database.close()
    return report
