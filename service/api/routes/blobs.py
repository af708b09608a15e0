"""``/v1/blobs`` and ``/v1/uploads``: files in, whole or in parts that survive a broken line."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Annotated, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from raiw.canonical import hex_digits
from raiw.errors import NotFound
from service.api.dependencies import DigestPath, Id, ServicesDep
from service.api.downloads import download
from service.contract.masks import BlobView, UploadRequest, UploadView
from service.jobs import uploads

router = APIRouter(prefix="/v1", tags=["uploads"])

IDLE_SECONDS = 30.0
"""A client that sends nothing for so long is gone; its upload is free for its next attempt."""

Answer = TypeVar("Answer")


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
    return await _receive(
        request, lambda pieces: uploads.put_blob(services, digest, content_length, pieces)
    )


@router.get("/blobs/{digest}", response_class=Response, operation_id="get_blob")
@router.head("/blobs/{digest}", response_class=Response, operation_id="head_blob")
def get_blob(services: ServicesDep, request: Request, digest: DigestPath) -> Response:
    """Read a blob's bytes, or with HEAD ask whether it is stored."""
    blob = uploads.find_blob(services, digest)
    if blob is None:
        raise NotFound(f"no blob {digest}: PUT it to /v1/blobs/{digest}")

    def read(start: int, stop: int) -> Iterator[bytes]:
        return services.artifacts.read(digest, start, stop)

    name = f"{hex_digits(digest)[:16]}.safetensors"
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
    upload = await _receive(
        request, lambda pieces: uploads.append(services, upload_id, upload_offset, pieces)
    )
    response.status_code = HTTPStatus.CREATED if upload.complete else HTTPStatus.OK
    response.headers["Upload-Offset"] = str(upload.offset)
    return upload


@router.delete("/uploads/{upload_id}", status_code=HTTPStatus.NO_CONTENT)
def abandon_upload(services: ServicesDep, upload_id: Id) -> None:
    """Forget an upload."""
    uploads.abandon(services, upload_id)


async def _receive(request: Request, take: Callable[[Iterable[bytes]], Answer]) -> Answer:
    """Run a use case in a thread, fed with the body as it comes.

    Uploads have threads of their own, so slow ones cannot starve the other routes; the body is
    read no faster than it is written.
    """
    stream = request.stream()

    def pieces() -> Iterator[bytes]:
        while piece := anyio.from_thread.run(_next_piece, stream):
            yield piece

    limiter: anyio.CapacityLimiter = request.app.state.upload_threads
    return await anyio.to_thread.run_sync(take, pieces(), limiter=limiter)


async def _next_piece(stream: AsyncIterator[bytes]) -> bytes:
    """Return the next bytes, none at the end."""
    try:
        with anyio.fail_after(IDLE_SECONDS):
            return await anext(stream)
    except TimeoutError:
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT, f"no byte came for {IDLE_SECONDS:.0f} seconds"
        ) from None
