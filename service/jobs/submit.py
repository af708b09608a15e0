"""Get or create: a job is named by what it makes, so equal requests meet in one result."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raiw.errors import DiskFull, InvalidInput
from raiw.jobs.craft import CraftJob
from raiw.jobs.document import JobDocument
from raiw.jobs.registry import KINDS
from raiw.specs.layers import packed_bytes
from service.contract.errors import Busy
from service.contract.jobs import JobStatus, JobSummary, PlanView, main_file
from service.contract.requests import JobRequest
from service.contract.tasks import queue_of
from service.jobs.asked import stored_form
from service.jobs.checks import check_memory, check_request, check_scores
from service.jobs.keeping import remove_expired
from service.jobs.networks import with_revision
from service.jobs.queries import describe, summary
from service.jobs.quotas import cells_of, check_job, defaults
from service.jobs.services import Services
from service.jobs.views import job_summary, plan_view
from service.logs import request_id
from service.store import (
    blobs,
    jobs,
    joining,
    masks,
    new_jobs,
    objects,
    prior,
    repeats,
    requests,
    results,
    sharing,
    shown,
)
from service.store.prior import Prior
from service.store.repeats import Repeat
from service.store.requests import Packed
from service.store.shown import ShownJob
from service.store.tables import BlobRow, JobRow, MasksRow
from service.tracing import TRACING

Outcome = Literal["hit", "joined", "created"]
_RACES = 5


@dataclass(frozen=True, slots=True)
class Submission:
    """A job, and how the request came by it."""

    job: JobSummary
    outcome: Outcome
    packed: bytes | None
    """What the job was asked for, where that is what was asked for now: JSON, compressed."""
    replayed: bool = False
    """Whether the same request came before, under the same key, and had this job for an answer."""


def plan(services: Services, request: CraftJob) -> PlanView:
    """Describe what a job would build; nothing is stored."""
    planned = request.spec.plan(scored=request.importance is not None)
    key = request.content_key()
    with services.database.read() as session:
        check_scores(services, session, request.spec, request.importance)
        stored = _find_masks(services, session, results.find_result(session, services.owner, key))
        if stored is None and services.settings.shares:
            stored = sharing.masks_of_others(session, services.artifacts, services.owner, key)
    return plan_view(planned, key, stored=stored is not None)


def submit(services: Services, request: JobRequest, key: str | None = None) -> Submission:
    """Return the stored result, the job that is already making it, or a new job.

    The job, its first event and its message are one transaction; the broker is not asked. The same
    request under the same ``Idempotency-Key`` gets the same job, even when it has ended.

    Raises
    ------
    InvalidInput
        The request cannot be carried out, or needs more memory than a worker may use (TooLarge).
    NotFound
        What it refers to is not stored.
    DiskFull
        Its result would not fit on the disk.
    OverQuota, QuotaReached
        The owner may not have it, or not yet.
    IdempotencyKeyReused
        The key came with another request.
    """
    repeat = Repeat.of(key, "POST /v1/jobs", request)
    request = with_revision(services, request)
    document = request.document()
    check_memory(services.settings, document)
    named = document.content_key()
    packed = Packed.of(stored_form(document))  # slow, so done before others wait for us
    expired_removed = False
    for _ in range(_RACES):
        try:
            with services.database.write() as session:
                if repeat and (job := _made_before(services, session, repeat)):
                    return Submission(job, "hit" if job.done else "joined", None, replayed=True)
                check_request(services, session, document)
                job, outcome = _get_or_create(services, session, request, named, packed)
                if repeat:
                    now = services.database.now(session)
                    repeats.note(session, services.owner, repeat, job.id, now)
        except IntegrityError:
            continue  # another server inserted the same key first: look again and join it
        except DiskFull:
            if expired_removed:
                raise
            remove_expired(services)
            expired_removed = True
            continue
        return _submitted(services, job, outcome, packed)
    raise Busy(f"the same job was created and ended {_RACES} times in the meantime; try again")


def submit_at_once(services: Services, request: JobRequest) -> Submission | None:
    """Do what :func:`submit` does for masks that need no scores, asking the database alone.

    None, and nothing is done, where more may have to be asked: what shares with other owners, a
    bucket whether it has the masks, a full disk what has expired.
    """
    document, settings = request.document(), services.settings
    if not isinstance(document, CraftJob) or document.uploads or settings.shares:
        return None
    check_memory(settings, document)
    key, packed = document.content_key(), Packed.of(stored_form(document))
    try:
        made = _create_unknown(services, request, key, packed)
        if made is None and settings.objects:
            return None
        if made is None:
            with services.database.write() as session:
                made = _get_or_create(services, session, request, key, packed)
    except (IntegrityError, DiskFull):
        return None
    return _submitted(services, *made, packed)


def _submitted(services: Services, job: JobSummary, outcome: Outcome, packed: Packed) -> Submission:
    if outcome == "created":
        services.wake(queue_of(KINDS[job.kind]))
    return Submission(job, outcome, None if outcome == "joined" else packed.data)


def _create_unknown(
    services: Services, request: JobRequest, key: str, packed: Packed
) -> tuple[JobSummary, Outcome] | None:
    """Create the job of a key that nothing is known of; None, and nothing is done, of others.

    On PostgreSQL it is one statement, and so a transaction, but for notes and counted quotas.
    """
    database, counted = services.database, defaults(services.settings).counted
    alone = not (database.is_sqlite or request.metadata or counted)
    with database.look() if alone else database.write() as session:
        found = prior.of(session, services.owner, key)
        known = found.masks is not None or found.active is not None
        if known or (alone and found.own.counted):
            return None
        services.artifacts.require_space(_disk_bytes(services, request.document()))
        job = _new_job(services, request, key, packed.digest, found.now)
        return _create(services, session, job, request, packed, found), "created"


def _get_or_create(
    services: Services, session: Session, request: JobRequest, key: str, packed: Packed
) -> tuple[JobSummary, Outcome]:
    owner, document = services.owner, request.document()
    found = prior.of(session, owner, key)
    now = found.now
    made = _made(services, session, document, key, found)
    _note_use(services, session, document, made, now)
    if made:
        earlier = shown.show_succeeded(session, owner, key, packed.digest)
        if earlier is not None:
            return summary(session, earlier), "hit"
    enough = made and not _has_gates(document)
    if not enough and found.active is not None:
        rank = request.priority.rank
        metadata, deadline = request.metadata, request.deadline_at
        joining.join(session, found.active, request_id.get(), metadata, deadline, rank, now)
        return _described(session, owner, found.active), "joined"
    job = _new_job(services, request, key, packed.digest, now)
    if enough:
        requests.add(session, packed)
        _add_succeeded(session, job, made, now)
        return _described(session, owner, job.id), "hit"
    if not made:
        services.artifacts.require_space(_disk_bytes(services, document))
    return _create(services, session, job, request, packed, found), "created"


def _create(
    services: Services,
    session: Session,
    job: JobRow,
    request: JobRequest,
    packed: Packed,
    found: Prior,
) -> JobSummary:
    """Add a job for a worker, if its owner may have it."""
    job.cells = cells_of(request.document())
    check_job(services, session, job.cells, found)
    _check_deadline(request.deadline_at, found.now)
    new_jobs.add(session, job, packed, found.now)
    return job_summary(ShownJob(job))  # as it was just written


def _described(session: Session, owner: str, job_id: str) -> JobSummary:
    found = describe(session, owner, job_id)
    assert found is not None  # noqa: S101 -- the transaction has just seen it
    return found


def _made_before(services: Services, session: Session, repeat: Repeat) -> JobSummary | None:
    """Return the job that a request has led to, unless it has been removed since."""
    known = repeats.find(session, services.owner, repeat)
    job = describe(session, services.owner, known.made) if known else None
    if known and not job:
        repeats.free(session, known)
    return job


def _has_gates(document: JobDocument) -> bool:
    """Whether a worker must hold masks against gates, even if they are stored already."""
    return isinstance(document, CraftJob) and document.spec.gates is not None


def _check_deadline(deadline: datetime | None, now: datetime) -> None:
    """Refuse a new job that would expire at once; a stored result or an existing job is not new.

    Raises
    ------
    InvalidInput
        The deadline is not in the future.
    """
    if deadline is not None and deadline <= now:
        raise InvalidInput(
            f"deadline_at {deadline.isoformat()} has passed: it is {now.isoformat()}; choose a "
            f"later one, or leave it out",
            pointer="/deadline_at",
        )


def _made(
    services: Services, session: Session, document: JobDocument, key: str, known: Prior
) -> dict[str, Any]:
    """Return the columns in which a job keeps what is stored under a key; empty if nothing is.

    What a row names but the store has lost counts as not stored: it is made again.
    """
    artifacts, owner, shares = services.artifacts, services.owner, services.settings.shares
    now = known.now
    if isinstance(document, CraftJob):
        found = _find_masks(services, session, known.masks)
        if found is None and shares:
            found = sharing.adopt_masks(session, artifacts, owner, key, now)
        return {"mask_digest": found.digest} if found else {}
    outcome = known.outcome
    if outcome and all(
        blobs.stored(session, artifacts, owner, digest) for digest in _files(outcome)
    ):
        return {"outcome": outcome}
    adopted = sharing.adopt_outcome(session, artifacts, owner, key, now) if shares else None
    return {"outcome": adopted} if adopted else {}


def _find_masks(services: Services, session: Session, digest: str | None) -> MasksRow | None:
    return masks.stored(session, services.artifacts, services.owner, digest) if digest else None


def _files(outcome: dict[str, Any]) -> list[str]:
    return [file["digest"] for file in outcome["files"]]


def _note_use(
    services: Services,
    session: Session,
    document: JobDocument,
    made: dict[str, Any],
    now: datetime,
) -> None:
    """Note that what a document names, and what it gets, is used."""
    files = _files(made["outcome"]) if "outcome" in made else []
    crafted = [made["mask_digest"]] if "mask_digest" in made else []
    owner = services.owner
    objects.use(session, BlobRow, owner, [*document.uploads.values(), *files], now)
    objects.use(session, MasksRow, owner, [*document.stored_masks.values(), *crafted], now)


def _disk_bytes(services: Services, document: JobDocument) -> int:
    """Return the bytes a craft job writes: its masks, twice if workers share them.

    The size of other jobs' results is unknown beforehand; they need a disk with free space.
    """
    if not isinstance(document, CraftJob):
        return 0
    shapes = [layer.graph_shape for layer in document.spec.layers]
    shared = cells_of(document) > services.settings.unit_cells
    return (1 + shared) * sum(map(packed_bytes, shapes))


def _add_succeeded(session: Session, job: JobRow, made: dict[str, Any], now: datetime) -> None:
    """Record a job whose result was already stored."""
    job.status, job.phase, job.completed = JobStatus.SUCCEEDED, "done", job.total
    job.finished_at = now
    for column, value in made.items():
        setattr(job, column, value)
    jobs.insert(session, job)
    digest = job.mask_digest or main_file(made["outcome"])["digest"]
    jobs.add_event(session, job.id, "status", {"status": job.status, "digest": digest}, now)


def _name(document: JobDocument) -> str:
    """Return a job's name for lists, without control characters."""
    return "".join(one if one.isprintable() else "\ufffd" for one in document.subject)


def _new_job(
    services: Services, request: JobRequest, key: str, digest: str, now: datetime
) -> JobRow:
    document = request.document()
    needs = dict.fromkeys([*document.uploads.values(), *document.stored_masks.values()])
    return JobRow(
        id=jobs.new_job_id(),
        owner_id=services.owner,
        kind=request.kind,
        status=JobStatus.QUEUED,
        content_key=key,
        name=_name(document),
        request=digest,
        importance=getattr(document, "importance", None),
        needs=" ".join(needs),
        algorithm=document.algorithm,
        note=request.metadata,
        queue=queue_of(KINDS[request.kind]),
        rank=request.priority.rank,
        timeout_seconds=request.timeout_seconds or services.settings.job_timeout_seconds,
        max_attempts=services.settings.max_attempts,
        attempt=0,
        phase="queued",
        completed=0,
        total=document.total,
        events=0,
        created_at=now,
        run_after=now,
        published_at=None,
        deadline_at=request.deadline_at,
        request_id=request_id.get(),
        traceparent=TRACING.traceparent(),
        joined=0,
    )
