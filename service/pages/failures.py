"""Errors as pages: what went wrong, the request's id, and where to go on."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from raiw.errors import RaiwError
from raiw.names import clipped
from service.contract.errors import Busy
from service.pages.rendering import render
from service.store.database import AWAY

logger = logging.getLogger(__name__)

_LONGEST = 2000


def answer(request: Request, error: Exception) -> Response:
    """Return the page of an error; a defect's details stay in the log."""
    status, title, detail = _told(request, error)
    return render(
        request,
        "failure.html",
        status=status,
        code=int(status),
        title=title,
        detail=clipped(detail, _LONGEST),
        request_id=request.state.request_id,
        headers=_headers(status, error),
    )


def _headers(status: HTTPStatus, error: Exception) -> Mapping[str, str]:
    """Return what a status asks for: when to come back, or which methods there are."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "1"}
    return (error.headers if isinstance(error, HTTPException) else None) or {}


def _told(request: Request, error: Exception) -> tuple[HTTPStatus, str, str]:
    if isinstance(error, AWAY):
        logger.warning("the database does not answer: %s", error)
        error = Busy("the database is locked or away; the same request may succeed later")
    if isinstance(error, RaiwError):
        return request.app.state.status_of(type(error)), error.title, error.message
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        detail = error.detail
        if status == HTTPStatus.BAD_REQUEST and "exceeded maximum size" in detail:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE  # so it is called by the reader of forms
        if detail == status.phrase:
            detail = f"There is no page {clipped(request.url.path)} on this server."
            if status == HTTPStatus.METHOD_NOT_ALLOWED:
                detail = f"This page does not take {request.method}."
        return status, status.phrase, detail
    return (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "raiw failed because of a defect",
        "The log of the server says why, under the id of this request.",
    )


def of_parameters(request: Request, error: Exception) -> Response:
    """Return the page of parameters that a page does not take."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for this class
    faults = [_fault(one) for one in error.errors()]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if all(one["loc"][0] == "path" for one in error.errors()):
        status = HTTPStatus.NOT_FOUND
    elif all(_is_long_field(one) for one in error.errors()):
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return answer(request, HTTPException(status, "; ".join(faults)))


def _is_long_field(fault: dict[str, Any]) -> bool:
    return (fault["loc"][0], fault["type"]) == ("body", "string_too_long")


def _fault(fault: dict[str, Any]) -> str:
    return f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}"
