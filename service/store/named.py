"""The files that rows name, on a connection that sees all of them as they were at one moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.orm import Session

from raiw.errors import NotFound
from service.contract.jobs import HELD
from service.store import jobs
from service.store.tables import BlobRow, JobRow, MaskChunkRow, MasksRow

Rows = Connection
"""Rows, all read or written in one transaction."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file that rows name."""

    digest: str
    size: int
    owner: str = ""
    masks: str = ""
    """The owner's masks whose file it is, if it lies in rows."""
    chunks: int = 0
    """How many rows hold it; 0 if it lies in the store."""


def files(rows: Rows) -> list[Named]:
    """Return the files of uploads, results and masks."""
    blobs = rows.execute(select(BlobRow.digest, BlobRow.size).distinct()).all()
    place = (MasksRow.owner_id, MasksRow.digest, MasksRow.chunks)
    there = select(MasksRow.file_sha256, MasksRow.size, *place).where(MasksRow.removed_at.is_(None))
    masks = [Named(*row) for row in rows.execute(there).tuples()]
    return [Named(digest, size) for digest, size in blobs] + masks


def read(rows: Rows, file: Named) -> Iterator[bytes]:
    """Yield the bytes of a file that lies in rows.

    Raises
    ------
    NotFound
        Some of them are gone.
    """
    of_masks = select(MaskChunkRow.data).where(
        MaskChunkRow.owner_id == file.owner, MaskChunkRow.digest == file.masks
    )
    for number in range(file.chunks):
        data = rows.scalar(of_masks.where(MaskChunkRow.number == number))
        if data is None:
            raise NotFound(f"the masks {file.masks} lack a part")
        yield data


def write(rows: Rows, file: Named, chunks: Iterator[bytes]) -> None:
    """Write a file into rows; each of ``chunks`` is one mebibyte but the last."""
    for number, data in enumerate(chunks):
        place = {"owner_id": file.owner, "digest": file.masks, "number": number}
        rows.execute(insert(MaskChunkRow), place | {"data": data})


def count_jobs(rows: Rows) -> int:
    """Return how many jobs there are."""
    return rows.scalar(select(func.count()).select_from(JobRow)) or 0


def count_files(session: Session) -> int:
    """Return about how many files rows name."""
    masks = select(func.count()).where(MasksRow.removed_at.is_(None))
    blobs = select(func.count()).select_from(BlobRow)
    return (session.scalar(masks) or 0) + (session.scalar(blobs) or 0)


def give_back_all(rows: Rows, now: datetime) -> int:
    """Give back the jobs whose workers are elsewhere; the attempt does not count."""
    with Session(rows) as session:
        held = session.execute(
            select(JobRow.id, JobRow.attempt).where(JobRow.status.in_(HELD))
        ).all()
        for job_id, attempt in held:
            jobs.release(session, jobs.Attempt(job_id, attempt), now)
        session.flush()
    return len(held)
