"""Jobs and plans as a client sees them."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from raiw.specs.dead import DeadUnits
from raiw.specs.document import Digest


class JobStatus(StrEnum):
    """The states of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


HELD = (JobStatus.RUNNING, JobStatus.CANCELING)
"""The states in which a worker has a job."""
ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})


class Priority(StrEnum):
    """Which of an owner's own jobs start first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """Its place: the lowest is first."""
        return _RANKS.index(self)

    @classmethod
    def of(cls, rank: int) -> "Priority":
        """Return the one in a place."""
        return _RANKS[rank]


_RANKS = tuple(Priority)


class View(BaseModel):
    """Base of what the service answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Progress(View):
    """A job's progress."""

    phase: str
    completed: int
    total: int


class FileView(View):
    """A file that a job has made."""

    name: str
    digest: Digest
    """SHA-256 of its bytes: ``/v1/blobs/{digest}``."""
    bytes: int


def main_file(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the file that stands for an outcome, as its kind of job names it.

    Outcomes of raiw 0.1 do not say: it is their first.
    """
    files: list[dict[str, Any]] = outcome["files"]
    return next((file for file in files if file["name"] == outcome.get("main")), files[0])


class GateBreach(View):
    """A value beyond the limit of a gate."""

    layer: str | None
    """Its layer; null for the network."""
    value: float | None
    """Null where a score gap was asked for and the layer has no certificate."""


class FailedGate(View):
    """A gate of the spec that the masks fail."""

    gate: str
    limit: float
    failures: list[GateBreach]
    """The worst first."""


class JobResult(View):
    """What a succeeded job has made."""

    digest: Digest
    """For a craft job the content digest of the masks, ``/v1/masks/{digest}``; otherwise the digest
    of its main file."""
    file_sha256: Digest
    """Digest of the mask file, or main file: its ETag."""
    bytes: int
    files: list[FileView] = []
    """Every file of a job that crafts no masks."""
    dead_units: list[DeadUnits] | None = None
    """The layers of crafted masks that leave outputs or inputs without an edge; null in lists."""
    report: dict[str, Any] | None = None
    """What such a job has measured; null in lists."""
    failed_gates: list[FailedGate] | None = None
    """Gates of the spec that crafted masks fail; null where it has none."""


class Canceler(View):
    """Who has canceled a job."""

    request_id: str | None = None
    client: str | None = None
    """Its ``User-Agent``."""
    metadata: dict[str, str] = {}
    """What it noted."""


class JobUrls(View):
    """Where to go next, relative to the server."""

    self: str
    events: str
    cancel: str
    result: str | None


class JobVersion(NamedTuple):
    """All that ever changes of a job, in what is cheap to read: the rest goes with the status."""

    id: str
    status: str
    attempt: int
    phase: str
    completed: int
    total: int
    joined: int
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    file_sha256: str | None
    """Of the masks it made."""

    @property
    def done(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDED

    @property
    def etag(self) -> str:
        """The ETag of a job's view: the same as long as the view says the same."""
        text = repr((*self[:1], str(self.status), *self[2:]))
        return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


class JobSummary(View):
    """A job in short form, as lists show it."""

    id: str
    kind: str
    name: str
    """What the job is about: the name of the spec, or the network."""
    status: JobStatus
    done: bool
    content_key: Digest
    importance: Digest | None
    algorithm: str
    """Algorithm or method that the job is about."""
    priority: Priority
    """Which of the owner's jobs start first; the highest that was asked for."""
    metadata: dict[str, str]
    request_id: str | None
    """Id of the request that asked for it."""
    joined_metadata: list[dict[str, str]] | None = None
    """What the first of those who joined it noted; null in lists, where somebody did."""
    joined: int
    """Further requests for it while it waited or ran: canceling the job affects them too."""
    attempt: int
    max_attempts: int
    progress: Progress
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    timeout_seconds: float
    canceled_by: Canceler | None
    """Of a job that was or is being canceled."""
    error: dict[str, Any] | None
    """Problem document of a job that failed."""
    result: JobResult | None
    urls: JobUrls

    @property
    def version(self) -> JobVersion:
        """What tells whether the job has changed."""
        made = self.result
        return JobVersion(
            self.id,
            self.status,
            self.attempt,
            self.progress.phase,
            self.progress.completed,
            self.progress.total,
            self.joined,
            self.started_at,
            self.finished_at,
            self.deadline_at,
            made.file_sha256 if made is not None and not made.files else None,
        )


class JobView(JobSummary):
    """A job with everything it was asked for."""

    spec: dict[str, Any] | None
    """What a craft job crafts; null for other kinds."""
    task: dict[str, Any] | None
    """What a job of another kind was asked for."""


class EventView(View):
    """One event of a job; ``seq`` counts from 1 and is the SSE id."""

    seq: int
    event: Literal["status", "progress", "log"]
    created_at: datetime
    data: dict[str, Any]


class JobPage(View):
    """A page of jobs, newest first."""

    items: list[JobSummary]
    next_page_token: str


class EventPage(View):
    """A page of events, oldest first."""

    items: list[EventView]
    next_page_token: str


class PlannedLayerView(View):
    """One layer of a plan."""

    name: str
    kind: str
    shape: tuple[int, int]
    groups: int
    group_outputs: int
    group_inputs: int
    edges: int
    density: float
    dense: bool
    in_degree: tuple[int, int]
    out_degree: tuple[int, int]
    weights: int
    dense_weights: int
    flops: int | None
    """Operations for one input; null where the layer's positions are unknown."""


class PlanView(View):
    """The answer of ``POST /v1/plan``: what a job would build, nothing stored."""

    algorithm: str
    contract: str
    """What the algorithm promises of every graph besides its edges: ``regular``, ``N:M`` …"""
    content_key: Digest
    stored: bool
    """Whether the masks are already stored, so that a job would be a hit."""
    layers: list[PlannedLayerView]
    edges: int
    weights: int
    dense_weights: int
    flops: int | None
    """Operations for one input; null where the positions of a layer are unknown."""
    dead_units: list[DeadUnits]
    """The layers that must leave outputs or inputs without an edge, as they have too few edges."""
    mask_bytes: int
    memory_bytes: int
    """The least memory that crafting takes; jobs that need more than a worker may use are refused,
    plans never."""
