"""``/v1/blobs`` and ``/v1/uploads``: files in, whole or in parts that survive a lost connection."""

from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from raiw.canonical import hex_digits
from raiw.errors import NotFound
from service.access.scopes import needs
from service.api.bodies import BodyRoute
from service.api.dependencies import (
    DigestPath,
    Id,
    IdempotencyKey,
    ServicesDep,
    UploadBody,
)
from service.api.document import DOWNLOAD, DOWNLOAD_HEAD, UPLOAD, UPLOAD_PART, headers
from service.api.downloads import download
from service.api.receiving import receive
from service.contract.access import Scope
from service.contract.masks import BlobView, UploadView
from service.jobs import keeping, uploads

router = APIRouter(prefix="/v1", tags=["uploads"], route_class=BodyRoute)


@router.put(
    "/blobs/{digest}",
    dependencies=[needs(Scope.UPLOADS_WRITE)],
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": BlobView, "description": "It was already stored."}},
    **UPLOAD,
)
async def put_blob(
    services: ServicesDep,
    request: Request,
    response: Response,
    digest: DigestPath,
    content_length: Annotated[int | None, Header(ge=0, include_in_schema=False)] = None,
) -> BlobView:
    """Upload a safetensors file under the SHA-256 of its bytes, in one request.

    The header is checked as soon as its bytes have arrived. For large files use `POST /v1/uploads`.
    """
    with suppress(NotFound):  # or damaged: the bytes that come replace it
        stored = await run_in_threadpool(uploads.open_blob, services, digest)
        response.status_code = HTTPStatus.OK
        return stored
    if content_length is None:
        raise HTTPException(
            HTTPStatus.LENGTH_REQUIRED,
            "an upload needs Content-Length: its header is checked against it",
        )
    request.state.body_limit = services.settings.max_upload_bytes
    return await receive(request, uploads.receive_blob(services, digest, content_length))


@router.get(
    "/blobs/{digest}",
    response_class=Response,
    operation_id="get_blob",
    dependencies=[needs(Scope.UPLOADS_READ)],
    **DOWNLOAD,
)
@router.head(
    "/blobs/{digest}",
    response_class=Response,
    operation_id="head_blob",
    dependencies=[needs(Scope.UPLOADS_READ)],
    **DOWNLOAD_HEAD,
)
def get_blob(services: ServicesDep, request: Request, digest: DigestPath) -> Response:
    """Read a blob's bytes, or with HEAD ask whether it is stored."""
    look = uploads.get_blob if request.method == "HEAD" else uploads.open_blob
    blob = look(services, digest)

    def read(start: int, stop: int) -> Iterator[bytes]:
        return services.artifacts.read(digest, start, stop)

    name = f"{hex_digits(digest)[:16]}.safetensors"
    return download(request, digest=digest, size=blob.bytes, name=name, read=read)


@router.delete(
    "/blobs/{digest}",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[needs(Scope.UPLOADS_WRITE)],
)
def delete_blob(services: ServicesDep, digest: DigestPath) -> None:
    """Remove a blob, whether or not it is stored; jobs that made it keep their record.

    One that is pinned, or that a waiting or running job needs, is not removed: 409.
    """
    keeping.remove(services, keeping.BLOBS, digest)


@router.put(
    "/blobs/{digest}/pin",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[needs(Scope.UPLOADS_WRITE)],
)
def pin_blob(services: ServicesDep, digest: DigestPath) -> None:
    """Keep a blob however long it goes unused."""
    keeping.pin(services, keeping.BLOBS, digest, pinned=True)


@router.delete(
    "/blobs/{digest}/pin",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[needs(Scope.UPLOADS_WRITE)],
)
def unpin_blob(services: ServicesDep, digest: DigestPath) -> None:
    """Unpin a blob."""
    keeping.pin(services, keeping.BLOBS, digest, pinned=False)


@router.post(
    "/uploads",
    dependencies=[needs(Scope.UPLOADS_WRITE)],
    status_code=HTTPStatus.CREATED,
    responses={201: {"headers": headers("Location")}},
)
def begin_upload(
    services: ServicesDep,
    response: Response,
    body: UploadBody,
    idempotency_key: IdempotencyKey = None,
) -> UploadView:
    """Begin an upload in parts. `complete` is true at once if the file is already stored."""
    upload = uploads.begin(services, body, idempotency_key)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return upload


@router.get(
    "/uploads/{upload_id}",
    responses={200: {"headers": headers("Upload-Offset")}},
    dependencies=[needs(Scope.UPLOADS_READ)],
)
def get_upload(services: ServicesDep, response: Response, upload_id: Id) -> UploadView:
    """Ask how far an upload has come: `offset` is the next byte to send."""
    upload = uploads.get_upload(services, upload_id)
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.patch(
    "/uploads/{upload_id}",
    dependencies=[needs(Scope.UPLOADS_WRITE)],
    responses={
        200: {"headers": headers("Upload-Offset")},
        201: {
            "model": UploadView,
            "description": "The upload is complete.",
            "headers": headers("Upload-Offset"),
        },
    },
    **UPLOAD_PART,
)
async def append_to_upload(
    services: ServicesDep,
    request: Request,
    response: Response,
    upload_id: Id,
    upload_offset: Annotated[int, Header(ge=0)],
) -> UploadView:
    """Send the part that starts at `Upload-Offset`; the last part completes the upload.

    What arrived before a connection broke counts: ask for the offset and continue from there.
    """
    request.state.body_limit = uploads.PART_BYTES
    upload = await receive(request, uploads.receive_part(services, upload_id, upload_offset))
    response.status_code = HTTPStatus.CREATED if upload.complete else HTTPStatus.OK
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.delete(
    "/uploads/{upload_id}",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[needs(Scope.UPLOADS_WRITE)],
)
def abandon_upload(services: ServicesDep, upload_id: Id) -> None:
    """Forget an upload."""
    uploads.abandon(services, upload_id)
