"""Masks, blobs and uploads as a client sees them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from raiw.specs.document import Document
from service.contract.jobs import Digest, View


class MasksView(View):
    """A stored set of masks."""

    digest: Digest
    file_sha256: Digest
    bytes: int
    created_at: datetime
    document: dict[str, Any]
    """The metadata of the mask file: spec, algorithm, seed, what was asked for and achieved."""
    statistics: dict[str, Any] | None
    """Entropy and connectivity by layer; null until a worker has measured them."""
    urls: dict[str, str]


class BlobView(View):
    """An uploaded file."""

    digest: Digest
    bytes: int
    created_at: datetime
    tensors: int
    """Number of tensors the safetensors file holds."""


class UploadRequest(Document):
    """The body of ``POST /v1/uploads``."""

    digest: Digest
    bytes: Annotated[int, Field(ge=8, strict=True)]


class UploadView(View):
    """A resumable upload; the next byte wanted is ``offset``."""

    id: str
    digest: Digest
    bytes: int
    offset: int
    part_bytes: int
    """Send at most so many bytes with one PATCH."""
    expires_at: datetime
    complete: bool
