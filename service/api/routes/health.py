"""``/livez``, ``/readyz`` and ``/metrics``: for whoever keeps the service running."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from raiw.errors import RaiwError
from service.api.dependencies import ServicesDep
from service.api.metrics import Metrics
from service.contract.errors import Busy
from service.jobs.janitor import Janitor
from service.jobs.services import Services
from service.store.migrate import is_current

logger = logging.getLogger(__name__)

router = APIRouter(tags=["operation"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Say that the process serves; it asks nobody else."""
    return {"status": "ok"}


@router.get(
    "/readyz", response_model=dict[str, Any], responses={503: {"description": "Not ready."}}
)
def readyz(services: ServicesDep, request: Request) -> JSONResponse:
    """Check what requests need. The broker is reported only: jobs are accepted without it."""
    checks = {
        "database": _check(lambda: _require_migrations(services)),
        "artifacts": _check(lambda: _write_nothing(services)),
    }
    ready = all(outcome == "ok" for outcome in checks.values())
    janitor: Janitor = request.app.state.janitor
    checks["broker"] = "ok" if janitor.broker_answers else "does not answer; jobs wait"
    return JSONResponse(
        {"status": "ok" if ready else "unavailable", "checks": checks},
        HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Read the measurements in the Prometheus text format."""
    measured: Metrics = request.app.state.metrics
    return Response(measured.text(), media_type=CONTENT_TYPE_LATEST)


def _check(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except RaiwError as error:
        return error.message
    except OSError as error:
        logger.warning("not ready: %s", error)
        return "does not answer; the log says why"
    return "ok"


def _require_migrations(services: Services) -> None:
    if not is_current(services.database):
        raise Busy("the database is not at the newest revision: run raiw migrate")


def _write_nothing(services: Services) -> None:
    """Make and remove a file, which fails where the folder is read-only or the disk is full."""
    with services.artifacts.stage(0):
        pass
