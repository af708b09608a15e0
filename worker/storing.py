"""Files that tasks have made, as blobs that clients read and other jobs name."""

from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from raiw.tensors import MAX_HEADER_BYTES, header_end
from service.jobs.services import Services
from service.store import blobs
from service.store.tables import BlobRow


def record(services: Services, session: Session, digest: str, path: Path, now: datetime) -> None:
    """Record a file of a task's folder, which the artifacts have taken under its digest."""
    blob = BlobRow(
        owner_id=services.owner, digest=digest, size=path.stat().st_size, header=_header(path)
    )
    blob.created_at = blob.used_at = now
    artifacts = services.artifacts
    blobs.add(session, artifacts, blob, partial(artifacts.link, path, digest))


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES + 8)
    return start[: header_end(start)]
