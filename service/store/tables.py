"""The tables, and what they are to each other."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.contract.access import LOCAL
from service.store.records import Big, Record

ACTIVE = text("status IN ('queued', 'running')")
DUE = text("deadline_at IS NOT NULL")
# Partial indexes, and the exact words used to query their rows: a database that gets the values
# separately from the statement does not see that the index applies.
PUBLISHED = text("status = 'queued' AND published_at IS NOT NULL")
ASKED = text("statistics IS NULL AND measure_attempts > 0")
HELPED = text("helps IS NOT NULL AND artifact IS NULL")


def _of_masks(column: str, **options: Any) -> ForeignKeyConstraint:
    """Refer to the masks of the same owner."""
    return ForeignKeyConstraint(["owner_id", column], ["masks.owner_id", "masks.digest"], **options)


class OwnerRow(Record):
    """Somebody that rows belong to: a person, a team, a pipeline.

    His own quotas replace those of the settings: null is not his own, 0 sets no limit.
    """

    __tablename__ = "owners"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime]
    quota_jobs: Mapped[int | None] = mapped_column(Big)
    quota_bytes: Mapped[int | None] = mapped_column(Big)
    quota_cells: Mapped[int | None] = mapped_column(Big)
    quota_daily_cells: Mapped[int | None] = mapped_column(Big)


class KeyRow(Record):
    """A key of an owner; its secret is not kept, only what tells it from others."""

    __tablename__ = "keys"
    __table_args__ = (Index("ix_keys_created_at_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("owners.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64))
    """HMAC-SHA256 of the whole key under the server's secret, in hexadecimal."""
    sealed_by: Mapped[str] = mapped_column(String(16))
    """What tells that secret from others."""
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute, since no request waits for it to be written."""
    replaces: Mapped[str | None] = mapped_column(String(40))
    """The key that was rotated into this one."""


class RequestRow(Record):
    """What jobs were asked for, stored once, as :mod:`service.store.requests` does.

    Kept apart from the jobs, whose rows are rewritten at every step and read in bulk.
    """

    __tablename__ = "requests"

    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class JobRow(Record):
    """A job: the only truth about it, whatever the broker says."""

    __tablename__ = "jobs"
    __table_args__ = (
        # One active job of an owner per key is what makes his equal requests join, on any number
        # of servers.
        # A job being canceled is not joined: whoever asks now wants the result.
        Index(
            "uq_jobs_owner_id_content_key_active",
            "owner_id",
            "content_key",
            unique=True,
            sqlite_where=ACTIVE,
            postgresql_where=ACTIVE,
        ),
        Index("ix_jobs_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index("ix_jobs_status_created_at_id", "status", "created_at", "id"),
        # Few jobs at a time are with the broker, have a deadline or are held: the janitor finds
        # them every second without looking at those that only wait.
        Index(
            "ix_jobs_published",
            "queue",
            "published_at",
            sqlite_where=PUBLISHED,
            postgresql_where=PUBLISHED,
        ),
        Index("ix_jobs_due", "status", "deadline_at", sqlite_where=DUE, postgresql_where=DUE),
        _of_masks("mask_digest"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), default=LOCAL, server_default=LOCAL
    )
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    content_key: Mapped[str] = mapped_column(String(71), index=True)
    name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """What the job is about, for lists: the spec's name, or the network."""
    request: Mapped[str] = mapped_column(
        ForeignKey("requests.digest"),
        index=True,
        nullable=True,  # SQLite cannot add a foreign key column that must not be null
    )
    """Digest of what was asked for: a craft job's spec, or the document of any other kind."""
    importance: Mapped[str | None] = mapped_column(String(71))
    needs: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Digests of the uploads and masks that the job refers to, separated by spaces."""
    algorithm: Mapped[str] = mapped_column(String(40))
    note: Mapped[dict[str, Any]]
    """The client's ``metadata`` (a name SQLAlchemy keeps for itself)."""
    queue: Mapped[str] = mapped_column(String(40))
    rank: Mapped[int] = mapped_column(default=1, server_default="1")
    """Place of its priority: see :class:`service.contract.jobs.Priority`."""
    cells: Mapped[int] = mapped_column(Big, default=0, server_default="0")
    """Possible edges that it crafts, of which an owner's quota of a day is; none where the result
    was stored."""
    timeout_seconds: Mapped[float] = mapped_column(Float)
    max_attempts: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=0)
    phase: Mapped[str] = mapped_column(String(40), default="queued")
    completed: Mapped[int] = mapped_column(default=0)
    total: Mapped[int]
    events: Mapped[int] = mapped_column(default=0)
    """Number of the last event: counted here, so that the row's lock orders them."""
    created_at: Mapped[datetime]
    run_after: Mapped[datetime]
    """Earliest start; postponed by the backoff after a lost attempt."""
    published_at: Mapped[datetime | None]
    """When the broker accepted the message of a queued job; None while it waits in the outbox."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    deadline_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]
    mask_digest: Mapped[str | None] = mapped_column(String(71), index=True)
    outcome: Mapped[dict[str, Any] | None]
    """What a job of another kind has made: ``files`` and ``report``."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    """Id of the request that asked for the job."""
    traceparent: Mapped[str | None] = mapped_column(String(55))
    """Trace of that request, as W3C writes it."""
    joined: Mapped[int] = mapped_column(default=0, server_default="0")
    """Further requests for it while it waited or ran."""
    canceled_by: Mapped[dict[str, Any] | None]
    """Who has canceled it: ``request_id``, ``client`` and ``metadata``."""
    failed_gates: Mapped[list[dict[str, Any]] | None]
    """Gates that its masks fail; None if it has no gates, or no masks yet."""


class JobNoteRow(Record):
    """One entry of the ``metadata`` of one caller of a job."""

    __tablename__ = "job_notes"
    __table_args__ = (Index("ix_job_notes_name_value", "name", "value"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    caller: Mapped[int] = mapped_column(primary_key=True)
    """0 for who made the job, then those who joined it."""
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(512))


class JobEventRow(Record):
    """One thing that happened to a job."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(String(20))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class OutboxRow(Record):
    """A message for the broker, written with the change it announces."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(None, "queue", "owner_id", "rank", "created_at", "id"),  # in their order
    )

    id: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=True)
    task: Mapped[str] = mapped_column(String(60))
    queue: Mapped[str] = mapped_column(String(40))
    argument: Mapped[str] = mapped_column(String(100), index=True)
    owner_id: Mapped[str] = mapped_column(String(40), default=LOCAL, server_default=LOCAL)
    """Whose message it is: owners take turns."""
    rank: Mapped[int] = mapped_column(default=1, server_default="1")
    """Its place among the owner's messages, as that of the job."""
    created_at: Mapped[datetime]
    """Its place among those of equal rank: when the job was asked for that is to start."""
    next_attempt_at: Mapped[datetime]


class DutyRow(Record):
    """A piece of housekeeping that one server does for all of them."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    due_at: Mapped[datetime]


class Kept(Record):
    """What an owner keeps for as long as it is used, or pinned.

    Equal objects of two owners are two rows: neither sees when the other used it, or that he has
    it. Their files are one.
    """

    __abstract__ = True

    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), primary_key=True, server_default=LOCAL
    )
    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(index=True)
    """Hour in which it was last stored, asked for or read; null is older and never expires."""
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())


class MasksRow(Kept):
    """A stored set of masks. An owner's equal bits are stored once, with the file that came first.

    The row outlives its bytes as long as a job names it, and alone is no guarantee: see
    :func:`service.store.masks.stored`.
    """

    __tablename__ = "masks"
    __table_args__ = (
        Index("ix_masks_owner_id_created_at_digest", "owner_id", "created_at", "digest"),
        Index("ix_masks_asked", "created_at", sqlite_where=ASKED, postgresql_where=ASKED),
    )

    file_sha256: Mapped[str] = mapped_column(String(71), index=True)
    size: Mapped[int] = mapped_column(Big)
    chunks: Mapped[int]
    """Rows of ``mask_chunks``; 0 when the file is an artifact."""
    # Large, and read by few: see service.store.masks.describe.
    document: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    statistics: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    dead_units: Mapped[list[dict[str, Any]]] = mapped_column(deferred=True, server_default="[]")
    """What the document says of layers that leave outputs or inputs without an edge."""
    measure_attempts: Mapped[int] = mapped_column(default=0)
    """How often a worker was asked for the statistics; 0 as long as nobody wants them."""
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    """When the bytes were removed, or found damaged."""


class MaskChunkRow(Record):
    """One mebibyte of a mask file."""

    __tablename__ = "mask_chunks"
    __table_args__ = (_of_masks("digest", ondelete="CASCADE"),)

    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), primary_key=True, server_default=LOCAL
    )
    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ResultRow(Record):
    """The masks that an owner's content key leads to: the cache that outlives jobs."""

    __tablename__ = "results"
    __table_args__ = (_of_masks("mask_digest", ondelete="CASCADE"),)

    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), primary_key=True, server_default=LOCAL
    )
    content_key: Mapped[str] = mapped_column(String(71), primary_key=True)
    mask_digest: Mapped[str] = mapped_column(String(71), index=True)
    created_at: Mapped[datetime]


class OutcomeRow(Record):
    """The files and report that an owner's content key leads to, if it is not for masks."""

    __tablename__ = "outcomes"

    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), primary_key=True, server_default=LOCAL
    )
    content_key: Mapped[str] = mapped_column(String(71), primary_key=True)
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class UnitRow(Record):
    """Some layers of a large job, crafted by one worker while others craft the rest.

    Its key says what is crafted, not for whom, so that a second attempt, or another job, can use
    what was finished.
    """

    __tablename__ = "units"
    __table_args__ = (
        Index("ix_units_helped", "helps", sqlite_where=HELPED, postgresql_where=HELPED),
    )

    key: Mapped[str] = mapped_column(String(71), primary_key=True)
    artifact: Mapped[str | None] = mapped_column(String(71), index=True)
    """Digest of the mask file of these layers; None while they are not finished."""
    attempt: Mapped[int]
    lease_expires_at: Mapped[datetime]
    touched_at: Mapped[datetime] = mapped_column(index=True)
    helps: Mapped[str | None] = mapped_column(String(40))
    """Owner of the job that a helper crafts it for; None where the job's own worker does."""


class BlobRow(Kept):
    """An uploaded file, or one that a job made, kept as an artifact under its digest."""

    __tablename__ = "blobs"

    size: Mapped[int] = mapped_column(Big)
    header: Mapped[bytes] = mapped_column(LargeBinary)
    """The file's first bytes up to its tensors, as ``raiw.tensors.read_header`` takes them: a spec
    is checked against them without opening the file."""
    created_at: Mapped[datetime]


class UploadRow(Record):
    """An upload under way; its bytes are in the artifact folder."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("owners.id"), index=True, server_default=LOCAL
    )
    digest: Mapped[str] = mapped_column(String(71))
    size: Mapped[int] = mapped_column(Big)
    received: Mapped[int] = mapped_column(Big, default=0)
    created_at: Mapped[datetime]
    touched_at: Mapped[datetime]


class NetworkRow(Record):
    """A network that a worker has announced: one not of the catalogue."""

    __tablename__ = "networks"
    __table_args__ = (Index("ix_networks_name_announced_at", "name", "announced_at"),)

    host: Mapped[str] = mapped_column(String(200), primary_key=True)
    """Whose worker announced it; a host's last announcement is all that counts."""
    name: Mapped[str] = mapped_column(
        # Pages follow the order of code points, whatever language the database speaks.
        String(200).with_variant(String(200, collation="C"), "postgresql"),
        primary_key=True,
    )
    input_shape: Mapped[list[int] | None]
    revision: Mapped[str] = mapped_column(String(100))
    """What names its code."""
    announced_at: Mapped[datetime]


class CompatibilityRow(Record):
    """One row, written by every migration: which older code may still use these tables."""

    __tablename__ = "compatibility"

    oldest: Mapped[str] = mapped_column(String(32), primary_key=True)
    """The oldest revision whose code can."""
