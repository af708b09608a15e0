"""``/v1/blobs`` and ``/v1/uploads``: files in, whole or in parts that survive a broken line."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from raiw.errors import NotFound
from service.api.bodies import BodyRoute
from service.api.dependencies import DigestPath, Id, ServicesDep
from service.api.downloads import download
from service.api.receiving import receive
from service.contract.masks import BlobView, UploadRequest, UploadView
from service.jobs import uploads

router = APIRouter(prefix="/v1", tags=["uploads"], route_class=BodyRoute)


@router.put(
    "/blobs/{digest}",
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": BlobView, "description": "It was stored already."}},
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
)
async def put_blob(
    services: ServicesDep,
    request: Request,
    response: Response,
    digest: DigestPath,
    content_length: Annotated[int | None, Header(ge=0)] = None,
) -> BlobView:
    """Upload a safetensors file under the SHA-256 of its bytes, in one request.

    The header is judged as soon as its bytes are here. For large files use `POST /v1/uploads`.
    """
    stored = await run_in_threadpool(uploads.find_blob, services, digest)
    if stored is not None:
        response.status_code = HTTPStatus.OK
        return stored
    if content_length is None:
        raise HTTPException(
            HTTPStatus.LENGTH_REQUIRED, "an upload needs Content-Length: its header is judged by it"
        )
    request.state.body_limit = services.settings.max_upload_bytes
    return await receive(request, uploads.receive_blob(services, digest, content_length))


@router.get("/blobs/{digest}", response_class=Response, operation_id="get_blob")
@router.head("/blobs/{digest}", response_class=Response, operation_id="head_blob")
def get_blob(services: ServicesDep, request: Request, digest: DigestPath) -> Response:
    """Read a blob's bytes, or with HEAD ask whether it is stored."""
    blob = uploads.find_blob(services, digest)
    if blob is None:
        raise NotFound(f"no blob {digest}: PUT it to /v1/blobs/{digest}")

    def read(start: int, stop: int) -> Iterator[bytes]:
        return services.artifacts.read(digest, start, stop)

    name = f"{digest.removeprefix('sha256:')[:16]}.safetensors"
    return download(request, digest=digest, size=blob.bytes, name=name, read=read)


@router.post("/uploads", status_code=HTTPStatus.CREATED)
def begin_upload(services: ServicesDep, response: Response, body: UploadRequest) -> UploadView:
    """Begin an upload in parts. `complete` is true at once when the file is stored already."""
    upload = uploads.begin(services, body)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return upload


@router.get("/uploads/{upload_id}")
def get_upload(services: ServicesDep, response: Response, upload_id: Id) -> UploadView:
    """Ask where an upload stands: `offset` is the next byte wanted."""
    upload = uploads.get_upload(services, upload_id)
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.patch(
    "/uploads/{upload_id}",
    responses={201: {"model": UploadView, "description": "The upload is complete."}},
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
)
async def append_to_upload(
    services: ServicesDep,
    request: Request,
    response: Response,
    upload_id: Id,
    upload_offset: Annotated[int, Header(ge=0)],
) -> UploadView:
    """Send the part that starts at `Upload-Offset`; the last part completes the upload.

    What arrived before a broken connection counts: ask for the offset and go on from there.
    """
    request.state.body_limit = uploads.PART_BYTES
    upload = await receive(request, uploads.receive_part(services, upload_id, upload_offset))
    response.status_code = HTTPStatus.CREATED if upload.complete else HTTPStatus.OK
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.delete("/uploads/{upload_id}", status_code=HTTPStatus.NO_CONTENT)
def abandon_upload(services: ServicesDep, upload_id: Id) -> None:
    """Forget an upload."""
    uploads.abandon(services, upload_id)
