"""Jobs as a client sends and sees them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from raiw.specs.document import Document
from raiw.specs.spec import Spec

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""``sha256:`` and 64 lower-case hex digits."""


class JobStatus(StrEnum):
    """The states of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})


class CraftRequest(Document):
    """What to craft: the body of a plan, and the heart of a job."""

    spec: Spec
    importance: Digest | None = None
    """Digest of an uploaded importance file."""


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class JobRequest(CraftRequest):
    """The body of ``POST /v1/jobs``."""

    kind: Literal["craft"] = "craft"
    timeout_seconds: Annotated[float, Field(gt=0, le=7 * 86400)] | None = None
    """Longest run time of one attempt."""
    deadline_at: AwareDatetime | None = None
    """A job nobody has started by then expires."""
    metadata: Metadata = Field(default_factory=dict)
    """Free notes, such as the commit a pipeline builds."""


class View(BaseModel):
    """Base of what the service answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Progress(View):
    """How far a job has come."""

    phase: str
    completed: int
    total: int


class JobResult(View):
    """Where a succeeded job's masks are."""

    digest: Digest
    """Content digest of the masks: ``/v1/masks/{digest}``."""
    file_sha256: Digest
    """Digest of the mask file: its ETag."""
    bytes: int


class JobUrls(View):
    """Where to go next, relative to the server."""

    self: str
    events: str
    cancel: str
    result: str | None


class JobView(View):
    """A job."""

    id: str
    kind: str
    status: JobStatus
    done: bool
    content_key: Digest
    spec: dict[str, Any]
    importance: Digest | None
    algorithm: str
    metadata: dict[str, str]
    attempt: int
    max_attempts: int
    progress: Progress
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    timeout_seconds: float
    error: dict[str, Any] | None
    """Problem document of a job that failed."""
    result: JobResult | None
    urls: JobUrls


class EventView(View):
    """One event of a job; ``seq`` counts from 1 and is the SSE id."""

    seq: int
    event: Literal["status", "progress", "log"]
    created_at: datetime
    data: dict[str, Any]


class JobPage(View):
    """A page of jobs, newest first."""

    items: list[JobView]
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
    mask_bytes: int
