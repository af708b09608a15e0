"""Errors as HTTP: the one table from error to status, and the problem document of each."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPMethod, HTTPStatus
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from raiw import errors
from raiw.jobs.registry import KINDS
from raiw.names import clipped
from raiw.specs.document import fault_pointer
from raiw.specs.faults import told
from raiw.specs.limits import MAX_FAULTS
from service.contract import errors as service_errors
from service.contract.problems import Fault, Problem
from service.contract.requests import UNKNOWN_KIND
from service.store.database import AWAY

logger = logging.getLogger(__name__)

STATUS: dict[type[errors.RaiwError], HTTPStatus] = {
    errors.RaiwError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Infeasible: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    service_errors.Forbidden: HTTPStatus.FORBIDDEN,
    service_errors.OverQuota: HTTPStatus.FORBIDDEN,
    service_errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    service_errors.AlreadyEnded: HTTPStatus.CONFLICT,
    service_errors.OffsetMismatch: HTTPStatus.CONFLICT,
    errors.MissingExtra: HTTPStatus.NOT_IMPLEMENTED,
    errors.DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    service_errors.InUse: HTTPStatus.CONFLICT,
    service_errors.Disabled: HTTPStatus.CONFLICT,
    service_errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    service_errors.ObjectsAway: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""An error has the status of its class, or else of the nearest class above it."""

HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: errors.NotFound.code,
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_TIMEOUT: "request-timeout",
    HTTPStatus.LENGTH_REQUIRED: "length-required",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.TooLarge.code,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "range-not-satisfiable",
    HTTPStatus.MISDIRECTED_REQUEST: "misdirected-request",
    HTTPStatus.INTERNAL_SERVER_ERROR: service_errors.InternalError.code,
}
"""Codes of the errors that only HTTP has."""

_RETRYABLE = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.INSUFFICIENT_STORAGE,
}
_SPEC_ERRORS = (errors.InvalidSpec, errors.TooLarge)
"""Their pointers start at the spec, which a request carries in its field ``spec``."""
_PASSING = service_errors.Busy | service_errors.ObjectsAway | service_errors.TooManyRequests
_RETRY_SECONDS = 1
_LONGEST_DETAIL = 2000
_LONGEST_POINTER = 500
"""Most characters of a problem's text: no client gets back a megabyte that it sent."""


def status_of(error: type[errors.RaiwError]) -> HTTPStatus:
    """Return the status of an error class."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def problem(  # noqa: PLR0913 -- the members of the document
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    title: str | None = None,
    faults: Iterable[Fault] = (),
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the response."""
    body = Problem(
        type=f"urn:raiw:problem:{code}",
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=clipped(detail, _LONGEST_DETAIL),
        instance=clipped(request.url.path, _LONGEST_POINTER),
        code=code,
        request_id=request.state.request_id,
        retryable=status in _RETRYABLE,
        errors=[_clipped(fault) for fault in islice(faults, MAX_FAULTS)],
        details=dict(details or {}),
    )
    return Response(body.model_dump_json(), status, headers, media_type="application/problem+json")


def _clipped(fault: Fault) -> Fault:
    return Fault(
        pointer=clipped(fault.pointer, _LONGEST_POINTER),
        detail=clipped(fault.detail, _LONGEST_DETAIL),
    )


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(errors.RaiwError, _raiw_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DataError, _data_error)
    for away in AWAY:
        app.add_exception_handler(away, _database_away)


def _raiw_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.RaiwError)  # noqa: S101 -- registered for this class
    details = {key: value for key, value in error.details.items() if key != "problems"}
    headers = {}
    if isinstance(error, errors.Unauthorized) and not isinstance(error, service_errors.OverQuota):
        headers["WWW-Authenticate"] = 'Bearer realm="raiw"'
    if isinstance(error, service_errors.Forbidden):
        headers["WWW-Authenticate"] += ', error="insufficient_scope"'
    if isinstance(error, _PASSING):
        headers["Retry-After"] = str(error.details.get("retry_after", _RETRY_SECONDS))
    if isinstance(error, service_errors.OffsetMismatch):
        headers["Upload-Offset"] = str(error.details["offset"])
    return problem(
        request,
        status_of(type(error)),
        error.code,
        error.message,
        title=error.title,
        faults=_faults(error),
        details=details,
        headers=headers,
    )


def _faults(error: errors.RaiwError) -> list[Fault]:
    prefix = "/spec" if isinstance(error, _SPEC_ERRORS) else ""
    if isinstance(error, errors.InvalidSpec):
        return [
            Fault(pointer=prefix + fault["pointer"], detail=fault["detail"])
            for fault in error.problems
        ]
    if error.pointer is None:
        return []
    return [Fault(pointer=prefix + error.pointer, detail=error.message)]


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for this class
    found = [_without_kind(one) for one in error.errors()]
    faults = [_fault(one) for one in found]
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    detail = f"{first.pointer}: {first.detail}{more}" if first.pointer else first.detail + more
    if all(one["loc"][0] == "path" for one in found):
        # What cannot be the name of anything does not exist.
        kind: type[errors.RaiwError] = errors.NotFound
    elif all(one["loc"][:2] == ("body", "spec") for one in found):
        kind = errors.InvalidSpec
    else:
        kind = errors.InvalidInput
    return problem(request, status_of(kind), kind.code, detail, title=kind.title, faults=faults)


def _without_kind(fault: Mapping[str, Any]) -> dict[str, Any]:
    """Remove from a fault's location the job kind that the union of requests puts there."""
    where, *path = fault["loc"]
    if fault["type"] == UNKNOWN_KIND:
        path = ["kind"]
    elif where == "body" and path[:1] and path[0] in KINDS:
        path = path[1:]
    return {**fault, "loc": (where, *path)}


def _fault(fault: Mapping[str, Any]) -> Fault:
    where, *path = fault["loc"]
    pointer = fault_pointer(fault, path) if where == "body" else ".".join(map(str, path))
    return Fault(pointer=pointer, detail=told(fault))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for this class
    status = HTTPStatus(error.status_code)
    code = HTTP_CODES.get(status, status.phrase.lower().replace(" ", "-"))
    detail = error.detail
    if detail == status.phrase:
        detail = (
            f"{request.method} {request.url.path}: {detail}; GET /openapi.json lists the routes"
        )
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    return problem(request, status, code, detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """Return all methods of a path; the router knows those of the first route that has it."""
    routes = request.app.router.routes
    return [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


def _data_error(request: Request, error: Exception) -> Response:
    logger.info("the database refused a value: %s", error)
    kind = errors.InvalidInput
    detail = "a value holds what the database cannot, such as a NUL character"
    return problem(request, status_of(kind), kind.code, detail, title=kind.title)


def _database_away(request: Request, error: Exception) -> Response:
    logger.warning("the database does not answer: %s", error)
    busy = service_errors.Busy("the database is locked or away; the same request may succeed later")
    return _raiw_error(request, busy)


def internal_error(request: Request) -> Response:
    """Answer a defect; its details stay in the log."""
    detail = f"the server failed; its log says why under the request id {request.state.request_id}"
    code = HTTP_CODES[HTTPStatus.INTERNAL_SERVER_ERROR]
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, code, detail)
