"""Jobs as clients are shown them: one with its result, a page of those that match, their events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    cast,
    exists,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, defer

from service.contract.jobs import JobStatus, JobVersion
from service.contract.queries import JobQuery, JobSearch
from service.store.tables import JobEventRow, JobNoteRow, JobRow, MasksRow, RequestRow

_STREAMED = {"yield_per": 10}
"""A page ends when it has enough bytes, so rows are not fetched all at once."""


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job with the parts of its result that clients are shown."""

    job: JobRow
    file_sha256: str | None = None
    bytes: int | None = None
    """Of the mask file, if the job made masks."""
    outcome: dict[str, Any] | None = None
    """Files and report, if it made something else."""
    dead_units: list[dict[str, Any]] | None = None
    """Those of its masks; None in lists."""


def owned(owner: str, *columns: Any) -> Select[Any]:
    """Select columns of an owner's jobs: the beginning of every statement that clients cause."""
    return select(*columns).select_from(JobRow).where(JobRow.owner_id == owner)


def is_there(session: Session, owner: str, job_id: str) -> bool:
    """Whether an owner has a job."""
    return session.scalar(owned(owner, JobRow.id).where(JobRow.id == job_id)) is not None


def packed_of(session: Session, owner: str, job_id: str) -> bytes | None:
    """Return what an owner's job was asked for, compressed by zlib; None if there is no such."""
    query = owned(owner, RequestRow.packed).join(RequestRow, RequestRow.digest == JobRow.request)
    packed: bytes | None = session.scalar(query.where(JobRow.id == job_id))
    return packed


def show(session: Session, owner: str, job_id: str) -> ShownJob | None:
    """Return a job with the mask file it made."""
    return _one(session.execute(_with_units(owner).where(JobRow.id == job_id)))


def show_succeeded(session: Session, owner: str, content_key: str, request: str) -> ShownJob | None:
    """Return an owner's latest succeeded job of a key that was asked for in the same words.

    Requests with equal keys may still differ, in gates for instance.
    """
    query = _with_units(owner).where(
        JobRow.content_key == content_key,
        JobRow.request == request,
        JobRow.status == JobStatus.SUCCEEDED,
    )
    latest = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(1)
    return _one(session.execute(latest))


def versions(
    session: Session, owner: str, job_ids: Sequence[str]
) -> dict[str, tuple[JobVersion, datetime]]:
    """Return the versions of an owner's jobs by id, each with the job's creation.

    Nothing else is read: an answer to a poll mostly says that nothing has changed.
    """
    query = (
        owned(
            owner,
            JobRow.id,
            JobRow.status,
            JobRow.attempt,
            JobRow.phase,
            JobRow.completed,
            JobRow.total,
            JobRow.joined,
            JobRow.started_at,
            JobRow.finished_at,
            JobRow.deadline_at,
            MasksRow.file_sha256,
            JobRow.created_at,
        )
        .outerjoin(
            MasksRow,
            and_(MasksRow.owner_id == JobRow.owner_id, MasksRow.digest == JobRow.mask_digest),
        )
        .where(JobRow.id.in_(job_ids))
    )
    return {row[0]: (JobVersion(*row[:-1]), row[-1]) for row in session.execute(query)}


def page(
    session: Session,
    owner: str,
    wanted: JobQuery,
    before: tuple[datetime, str] | None,
    size: int,
) -> Iterator[ShownJob]:
    """Yield up to ``size`` jobs, newest first, older than ``before``; without their reports."""
    files, main = JobRow.outcome["files"], JobRow.outcome["main"]
    query = _shown(owner).add_columns(files, main).options(defer(JobRow.outcome, raiseload=True))
    query = query.where(*_conditions(wanted))
    if before is not None:
        query = query.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(*before))
    query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(size)
    for job, digest, bytes_, made, named in session.execute(query, execution_options=_STREAMED):
        yield ShownJob(job, digest, bytes_, made and {"files": made, "main": named, "report": None})


def events_after(session: Session, job_id: str, seq: int, size: int) -> Iterator[JobEventRow]:
    """Yield up to ``size`` events after number ``seq``, oldest first."""
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.seq > seq)
    yield from session.scalars(
        query.order_by(JobEventRow.seq).limit(size), execution_options=_STREAMED
    )


def _shown(owner: str) -> Any:
    """Select jobs with their mask files, but without the files' contents."""
    return owned(owner, JobRow, MasksRow.file_sha256, MasksRow.size).outerjoin(
        MasksRow,
        and_(MasksRow.owner_id == JobRow.owner_id, MasksRow.digest == JobRow.mask_digest),
    )


def _with_units(owner: str) -> Any:
    return _shown(owner).add_columns(MasksRow.dead_units)


def _one(found: Any) -> ShownJob | None:
    row = found.one_or_none()
    return None if row is None else ShownJob(row[0], row[1], row[2], row[0].outcome, row[3])


def _conditions(wanted: JobQuery) -> Iterator[ColumnElement[bool]]:
    if wanted.status is not None:
        yield JobRow.status == wanted.status
    if wanted.kind is not None:
        yield JobRow.kind == wanted.kind
    if wanted.content_key is not None:
        yield JobRow.content_key == wanted.content_key
    if wanted.created_after is not None:
        yield JobRow.created_at > wanted.created_after
    if wanted.created_before is not None:
        yield JobRow.created_at < wanted.created_before
    for name, value in wanted.notes:
        yield exists().where(
            JobNoteRow.job_id == JobRow.id, JobNoteRow.name == name, JobNoteRow.value == value
        )
    if isinstance(wanted, JobSearch) and wanted.text:
        yield _mentions(wanted.text)


def _mentions(text: str) -> ColumnElement[bool]:
    columns = (JobRow.name, JobRow.algorithm, JobRow.id, JobRow.content_key, JobRow.mask_digest)
    notes = cast(JobRow.note, String)
    return or_(*(column.icontains(text, autoescape=True) for column in (*columns, notes)))
