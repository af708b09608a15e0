"""``/livez``, ``/readyz`` and ``/metrics`` for the operator, and the document of the API."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, PlainTextResponse

from service.access.scopes import needs
from service.api.dependencies import ServicesDep
from service.api.metrics import Metrics
from service.contract.access import Unscoped
from service.contract.health import Checks, Liveness, Readiness
from service.jobs import health

Look = TypeVar("Look")

router = APIRouter(tags=["operation"], dependencies=[needs(Unscoped.PUBLIC)])


@router.get("/livez")
async def livez() -> Liveness:
    """Say that the process is serving; nothing else is checked."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready."}})
async def readyz(services: ServicesDep, request: Request, response: Response) -> Readiness:
    """Check what requests need. The broker is only reported: jobs are accepted without it."""
    database, artifacts, broker = await _in_threads(
        request,
        lambda: health.check_database(services),
        lambda: health.check_artifacts(services),
        lambda: health.check_broker(services, request.app.state.janitor),
    )
    ready = database == artifacts == health.OK
    if not ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(
        status="ok" if ready else "unavailable",
        checks=Checks(database=database, artifacts=artifacts, broker=broker),
    )


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> JSONResponse:
    """Read the document of this API."""
    return JSONResponse(request.app.openapi())


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Read the measurements in the Prometheus text format."""
    measured: Metrics = request.app.state.metrics
    (text,) = await _in_threads(request, measured.text)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _in_threads(request: Request, *looks: Callable[[], Look]) -> list[Look]:
    """Run the checks side by side, in threads of their own: all others may be busy."""
    limiter: anyio.CapacityLimiter = request.app.state.probe_threads
    return await asyncio.gather(
        *(anyio.to_thread.run_sync(look, limiter=limiter) for look in looks)
    )
