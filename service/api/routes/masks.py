"""``/v1/masks``: crafted masks and their bytes."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from raiw.canonical import hex_digits
from service.access.scopes import needs
from service.api.dependencies import DigestPath, FormQuery, ServicesDep
from service.api.document import DOWNLOAD, DOWNLOAD_HEAD, EXPORT, headers, parameters
from service.api.downloads import download, elsewhere
from service.api.streams import poll, preferred_wait
from service.contract.access import Scope
from service.contract.masks import MasksPage, MasksView, StatisticsView
from service.contract.preferences import takes
from service.contract.queries import MasksQuery
from service.jobs import keeping, stored

router = APIRouter(prefix="/v1/masks", tags=["masks"])

_WAITED = ("Preference-Applied",)


@router.get("", dependencies=[needs(Scope.MASKS_READ)])
def list_masks(services: ServicesDep, wanted: Annotated[MasksQuery, Query()]) -> MasksPage:
    """List the stored masks for which all of this holds, newest first."""
    return stored.list_masks(services, wanted)


@router.delete(
    "/{digest}", status_code=HTTPStatus.NO_CONTENT, dependencies=[needs(Scope.MASKS_WRITE)]
)
def delete_masks(services: ServicesDep, digest: DigestPath) -> None:
    """Remove masks, whether or not they are stored; the jobs that made them keep their record.

    An equal request crafts them again. Masks that are pinned, or that a waiting or
    running job needs, are not removed: 409.
    """
    keeping.remove(services, keeping.MASKS, digest)


@router.put(
    "/{digest}/pin", status_code=HTTPStatus.NO_CONTENT, dependencies=[needs(Scope.MASKS_WRITE)]
)
def pin_masks(services: ServicesDep, digest: DigestPath) -> None:
    """Keep masks however long they go unused."""
    keeping.pin(services, keeping.MASKS, digest, pinned=True)


@router.delete(
    "/{digest}/pin", status_code=HTTPStatus.NO_CONTENT, dependencies=[needs(Scope.MASKS_WRITE)]
)
def unpin_masks(services: ServicesDep, digest: DigestPath) -> None:
    """Unpin masks."""
    keeping.pin(services, keeping.MASKS, digest, pinned=False)


@router.get("/{digest}", dependencies=[needs(Scope.MASKS_READ)])
def get_masks(services: ServicesDep, digest: DigestPath) -> MasksView:
    """Show stored masks: what was asked for, what was achieved, and their statistics."""
    return stored.get_masks(services, digest)


@router.get(
    "/{digest}/file",
    response_class=Response,
    operation_id="get_mask_file",
    dependencies=[needs(Scope.MASKS_READ)],
    **EXPORT,
)
@router.head(
    "/{digest}/file",
    response_class=Response,
    operation_id="head_mask_file",
    dependencies=[needs(Scope.MASKS_READ)],
    **DOWNLOAD_HEAD,
)
def get_mask_file(
    services: ServicesDep, request: Request, digest: DigestPath, form: FormQuery = None
) -> Response:
    """Download a mask file (`raiw.masks@1`), or its masks in another form; it never changes.

    One `Range` may be asked for.
    """
    file = stored.open_masks(services, digest)
    row = file.row
    if request.method == "GET" or form is not None:
        file.verify()
    if form is not None:
        from service.jobs import exports  # numpy, which the web process else does without

        made = exports.open_export(services, file, form)
        return download(
            request,
            digest=made.digest,
            part=made.part,
            size=made.size,
            name=made.name,
            media_type=made.media_type,
            read=made.read,
        )
    name = f"masks-{hex_digits(digest)[:16]}.safetensors"
    if request.method == "GET" and (url := file.address()):
        return elsewhere(request, digest=row.file_sha256, url=url)
    return download(request, digest=row.file_sha256, size=row.size, name=name, read=file.read)


@router.get(
    "/{digest}/statistics",
    dependencies=[needs(Scope.MASKS_READ)],
    responses={
        200: {"headers": headers(perhaps=_WAITED)},
        202: {
            "model": StatisticsView,
            "description": "A worker is measuring: ask again.",
            "headers": headers("Retry-After", perhaps=_WAITED),
        },
    },
    openapi_extra=parameters("Prefer"),
)
async def get_statistics(
    services: ServicesDep, request: Request, digest: DigestPath, response: Response
) -> StatisticsView:
    """Measure entropy, connectivity and expansion of every layer; the first call asks a worker.

    `Prefer: wait=N` delays the answer for up to 30 seconds until it has measured.
    """
    view = await run_in_threadpool(stored.get_statistics, services, digest)
    if wait := preferred_wait(request):
        response.headers["Preference-Applied"] = f"wait={wait}"
        if view.statistics is None:

            def look() -> dict[str, Any] | None:
                return stored.get_statistics(services, digest).statistics

            view = StatisticsView(digest=digest, statistics=await poll(request, look, wait))
    if view.statistics is None:
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Retry-After"] = "1"
    return view


@router.get(
    "/{digest}/layers/{name}",
    response_model=dict[str, Any],
    dependencies=[needs(Scope.MASKS_READ)],
    **DOWNLOAD,
)
def get_layer(
    services: ServicesDep,
    request: Request,
    digest: DigestPath,
    name: Annotated[str, Path(max_length=200)],
) -> Response:
    """Show one layer; with `Accept: application/octet-stream` download its packed rows.

    The rows of the `(out, in/groups)` graph follow each other, each padded to whole bytes; the
    first input is the lowest bit.
    """
    file = stored.open_masks(services, digest, described=True)
    layer = stored.get_layer(file.row, name)
    if not takes(request.headers.get("accept", ""), "application/octet-stream"):
        return JSONResponse(layer, HTTPStatus.OK, {"Vary": "Accept"})
    file.verify()
    tensor = file.header().tensors[f"{name}.bitmask"]
    response = download(
        request,
        digest=file.row.file_sha256,
        part=name,
        size=tensor.end - tensor.start,
        name=f"{name}.bin",
        read=lambda start, stop: file.read(tensor.start + start, tensor.start + stop),
    )
    response.headers["Vary"] = "Accept"
    return response
