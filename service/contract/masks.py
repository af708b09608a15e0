"""Masks, blobs and uploads as a client sees them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from raiw.specs.document import WHOLE, Digest, Document
from service.contract.jobs import View


class MasksSummary(View):
    """A stored set of masks in short form, as lists show it."""

    digest: Digest
    file_sha256: Digest
    bytes: int
    created_at: datetime
    used_at: datetime | None
    """Hour in which they were last asked for or read; null if that was never recorded."""
    pinned: bool
    """Whether they are kept however long they go unused."""
    name: str
    """Name of the spec they were crafted from."""
    algorithm: str
    importance: Digest | None
    """Digest of the scores they were crafted from."""
    url: str


class MasksPage(View):
    """A page of masks, newest first."""

    items: list[MasksSummary]
    next_page_token: str


class MasksView(View):
    """A stored set of masks."""

    digest: Digest
    file_sha256: Digest
    bytes: int
    created_at: datetime
    used_at: datetime | None
    """Hour in which they were last asked for or read; null if that was never recorded."""
    pinned: bool
    """Whether they are kept however long they go unused."""
    document: dict[str, Any]
    """The metadata of the mask file: spec, algorithm, seed, what was asked for and achieved."""
    statistics: dict[str, Any] | None
    """Entropy and connectivity by layer; null until they were asked for and measured."""
    urls: dict[str, str]


class StatisticsView(View):
    """The statistics of stored masks."""

    digest: Digest
    statistics: dict[str, Any] | None
    """By layer, under ``layers``; null while a worker measures. Layers of more than a million
    edges are left out: ``raiw show`` measures them from the file."""


class BlobView(View):
    """An uploaded file."""

    digest: Digest
    bytes: int
    created_at: datetime
    used_at: datetime | None
    """Hour in which it was last asked for or read; null if that was never recorded."""
    pinned: bool
    """Whether it is kept however long it goes unused."""
    tensors: int
    """Number of tensors the safetensors file holds."""


class UploadRequest(Document):
    """The body of ``POST /v1/uploads``."""

    digest: Digest
    bytes: Annotated[int, Field(ge=8, strict=True), WHOLE]


class UploadView(View):
    """A resumable upload; the next byte to send is ``offset``."""

    id: str
    digest: Digest
    bytes: int
    offset: int
    part_bytes: int
    """The most bytes that one PATCH may carry."""
    expires_at: datetime
    complete: bool
