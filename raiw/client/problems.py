"""From an HTTP answer to the exception of :mod:`raiw.errors`: the one table for clients."""

from collections.abc import Iterator
from typing import Any

import httpx

from raiw.errors import (
    ForeignServer,
    InvalidInput,
    InvalidSpec,
    NotFound,
    RaiwError,
    TooLarge,
    Unauthorized,
    Unreachable,
)

RETRIABLE = frozenset({429, 502, 503, 504})
"""Statuses that mean: the same request may succeed later."""

BY_STATUS: dict[int, type[RaiwError]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: InvalidInput,
    411: InvalidInput,
    413: TooLarge,
    415: InvalidInput,
    422: InvalidInput,
    408: Unreachable,
    507: Unreachable,
    **dict.fromkeys(RETRIABLE, Unreachable),
}
"""What a status means if we do not know the problem's code."""

_WRONG_SERVER = frozenset({400, 404, 405, 410})
"""Statuses that a raiw server always explains: without that it is another server's answer."""

_SPEC = "/spec"
"""Where a request carries the spec: pointers into it are given as the local engine gives them."""
_TEXT_LIMIT = 300


def _tree(kind: type[RaiwError]) -> Iterator[type[RaiwError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


BY_CODE: dict[str, type[RaiwError]] = {
    kind.code: kind for kind in _tree(RaiwError) if kind.__module__ == RaiwError.__module__
}
"""Every class of the error tree by its code."""


def error_of(response: httpx.Response) -> RaiwError:
    """Return the exception an unsuccessful answer stands for; its body must have been read."""
    problem = _problem(response)
    if problem is None:
        return _foreign_answer(response)
    code = str(problem.get("code", ""))
    kind = BY_CODE.get(code) or BY_STATUS.get(response.status_code, RaiwError)
    facts = {str(key): value for key, value in (problem.get("details") or {}).items()}
    facts |= {key: problem[key] for key in ("status", "request_id") if key in problem}
    if code not in BY_CODE:
        facts["code"] = code
    faults = [
        {"pointer": fault["pointer"].removeprefix(_SPEC), "detail": fault["detail"]}
        for fault in problem.get("errors") or []
    ]
    if issubclass(kind, InvalidSpec):
        facts["problems"] = faults
    pointer = faults[0]["pointer"] if faults else None
    return kind(str(problem.get("detail") or code), pointer=pointer, **facts)


def error_of_document(problem: dict[str, Any]) -> tuple[str, str]:
    """Return code and text of a problem document kept with a job."""
    return str(problem.get("code", RaiwError.code)), str(problem.get("detail", "no reason given"))


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and {"code", "detail"} <= body.keys() else None


def _foreign_answer(response: httpx.Response) -> RaiwError:
    """Describe an answer that is not a problem document: a proxy's page, or another server's."""
    status, where = response.status_code, response.request.url
    if response.is_redirect:
        target = response.headers.get("location", "elsewhere")
        return InvalidInput(f"{where} redirects to {target}: use that server's URL", status=status)
    kind = BY_STATUS.get(status, RaiwError)
    if status in _WRONG_SERVER and response.request.method != "HEAD":  # which has no body
        kind = ForeignServer
    text = response.text.strip()[:_TEXT_LIMIT] or response.reason_phrase
    hint = "; is this the URL of a raiw server?" if kind is ForeignServer else ""
    told = f"{response.request.method} {where} answered {status}: {text}{hint}"
    return kind(told, status=status)
